//! Accepting: sockets, limits, who speaks which protocol, and the connection's way from its first to its last request.

mod accept;
mod connection;
mod count;
mod handshake;
mod http;
mod http1;
mod http2;
mod http3;
mod linger;
mod passthrough;
mod peek;
mod proxy_protocol;
mod quic;
mod session;
mod stream_link;
mod turns;
mod udp;
mod udp_sessions;

pub use accept::{Acceptor, OpenConnections, serve, serve_quic};
pub use count::ConnectionCount;
pub use quic::{Steering, accepting, endpoint, quic_config};
pub use udp::serve_udp;
