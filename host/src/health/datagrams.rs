//! A socket of UDP towards an endpoint, for a probe.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The largest datagram there is.
const MOST_BYTES: usize = 65_535;

#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    room: Vec<u8>,
}

impl Datagrams {
    pub(super) async fn towards(address: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(Self { socket, room: vec![0; MOST_BYTES] })
    }

    pub(super) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).await.map(drop)
    }

    /// Waits for a datagram, or for the network to say that nobody listens there.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let ready = self.socket.ready(Interest::READABLE | Interest::ERROR).await?;
            if ready.is_error() {
                // When nothing is wrong any more, it was told at sending.
                let told = self.socket.try_io(Interest::ERROR, || match self.socket.take_error()? {
                    Some(error) => Err(error),
                    None => Err(io::ErrorKind::WouldBlock.into()),
                });
                match told {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            match self.socket.try_recv(&mut self.room) {
                Ok(length) => return Ok(self.room[..length].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
