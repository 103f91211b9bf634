//! Sockets as the proxy wants them.

mod datagrams;
mod group;
mod listening;
mod options;
mod quic_id;
mod quic_listening;
mod quic_socket;
mod transparent;

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

pub use datagrams::{Batch, DatagramSocket, Datagrams, Sent};
pub use group::{SocketGroup, Steering, can_bind};
pub use listening::Listening;
pub use quic_id::{QUIC_ID_BYTES, name_endpoint};
pub use quic_listening::{QuicListeners, QuicListening};
pub use quic_socket::QuicSocket;
pub use transparent::{bind_transparent, may_be_transparent};

/// Connections that the kernel holds for us between two accepts.
pub const BACKLOG: i32 = 4096;

/// Whether an address could be listened on, as far as can be said without doing it. Not when another process listens there,
/// which the sharing of ports would hide: half of the connections would go to the other one.
pub fn can_listen(address: SocketAddr) -> io::Result<()> {
    let probe = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    probe.set_reuse_address(true)?;
    if address.is_ipv6() {
        probe.set_only_v6(true)?;
    }
    probe.bind(&address.into())
}

/// A socket that has its address, and takes no connection yet.
#[derive(Debug)]
pub struct BoundSocket(Socket);

/// Binds a socket that shares its port with those of the other workers; the kernel spreads connections over them.
pub fn bind(address: SocketAddr) -> io::Result<BoundSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well only where it is asked for, whatever the system's default.
        socket.set_only_v6(true)?;
    }
    // The connections that it accepts have it from here: small writes are whole messages, and waiting for more only adds latency.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(BoundSocket(socket))
}

impl BoundSocket {
    /// With the port that the system chose.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// From now on the kernel gives it connections.
    pub fn listen(self) -> io::Result<TcpListener> {
        self.0.listen(BACKLOG)?;
        Ok(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn accepted_connections_send_at_once() {
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = bound.address().expect("an address");
        let listener = bound.listen().expect("it is bound");
        listener.set_nonblocking(false).expect("an option that there is");
        let client = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        client.connect(&address.into()).expect("it listens");
        let (accepted, _) = listener.accept().expect("a client is there");
        assert!(accepted.nodelay().expect("an option that there is"));
    }
}
