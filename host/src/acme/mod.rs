//! Certificates that are ordered from an authority (ACME, RFC 8555): the account with it, an order from its beginning to the
//! certificate, when a certificate is renewed, and when what failed is tried again. What is made of the outcome is the control
//! plane's matter.

mod account;
mod authority;
mod backoff;
mod client;
mod failure;
mod issued;
mod order;
mod renewal;

pub use authority::Authority;
pub use backoff::backoff;
pub use failure::Failure;
pub use issued::Issued;
pub use renewal::{Renewal, Window};
