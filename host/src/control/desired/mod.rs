//! What the operator wants: the configuration that is live, those before it, and how another one takes its place.

mod apply;
mod error;
mod rollback;
mod saving;
mod versions;

pub use error::ApplyError;
pub(super) use versions::{Version, Versions};
