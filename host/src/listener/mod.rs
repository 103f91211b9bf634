//! Accepting: sockets, limits, who speaks which protocol, and the connection's way from its first to its last request.

mod accept;
mod connection;
mod http;
mod linger;
mod stream;

pub use accept::{Acceptor, OpenConnections, serve};
