use std::net::{SocketAddr, TcpListener, TcpStream};

/// An address where connections are refused, and which nobody else gets while this lives: it is the client's end of a
/// connection, so the port is taken, but nobody listens there.
#[derive(Debug)]
pub struct Refusing {
    address: SocketAddr,
    _ends: (TcpStream, TcpListener),
}

impl Refusing {
    /// # Panics
    /// When no port is free.
    pub fn reserve() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let stream =
            TcpStream::connect(listener.local_addr().expect("a bound socket")).expect("our own listener accepts");
        let address = stream.local_addr().expect("a bound socket");
        Self { address, _ends: (stream, listener) }
    }
}

impl std::fmt::Display for Refusing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}
