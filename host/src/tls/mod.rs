//! TLS towards clients: the certificates that a listener has, and how a connection becomes one that is encrypted.

mod certificates;
mod server;

pub use server::{ServerTls, Tickets};
