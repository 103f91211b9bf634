use std::net::SocketAddr;

/// Who sent a request; none by a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<SocketAddr>);
