//! Where endpoints come from besides the configuration: names that are looked up again when their time is over, services
//! by SRV records, and files. What came of it, and what it means for a cluster, is the business of `control`.

mod file;
pub(crate) mod fuzzing;
mod hosts;
mod message;
mod name;
mod resolv_conf;
mod resolver;
mod service;
mod watched;

use std::future::Future;
use std::pin::Pin;

pub use file::FileSource;
pub use name::Name;
pub use resolver::Resolver;
pub use service::ServiceSource;
pub use watched::{Stamp, Watched};

use crate::config::Endpoint;

/// Somewhere that endpoints of a cluster come from.
pub trait Source: Send {
    /// Waits until there is something to say, and says it: at once when asked for the first time, later at each change.
    /// After an error, what was said last still holds. May be dropped while it waits, and asked again.
    fn next(&mut self) -> Next<'_>;
}

/// What a source says next.
pub type Next<'a> = Pin<Box<dyn Future<Output = Result<Vec<Endpoint>, String>> + Send + 'a>>;
