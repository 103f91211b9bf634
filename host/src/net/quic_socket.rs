use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn::{AsyncUdpSocket, UdpPoller};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// A socket of QUIC. One towards a single address hears from that address alone, and of the network that nobody is there; one that is
/// open to everybody does not.
#[derive(Debug)]
pub struct QuicSocket {
    socket: UdpSocket,
    abilities: UdpSocketState,
    refused: Notify,
}

impl QuicSocket {
    pub fn towards(address: SocketAddr) -> io::Result<Arc<Self>> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.connect(&address.into())?;
        Self::of(socket.into())
    }

    pub(super) fn of(socket: std::net::UdpSocket) -> io::Result<Arc<Self>> {
        let abilities = UdpSocketState::new((&socket).into())?;
        Ok(Arc::new(Self { socket: UdpSocket::from_std(socket)?, abilities, refused: Notify::new() }))
    }

    /// Ready when the network has said that what was sent reaches nobody.
    pub async fn refused(&self) {
        tokio::select! {
            () = self.refused.notified() => {}
            // What cannot be waited for does not come.
            told = self.socket.ready(Interest::ERROR) => if told.is_err() { std::future::pending().await },
        }
    }
}

impl AsyncUdpSocket for QuicSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.socket.try_io(Interest::WRITABLE, || self.abilities.try_send((&self.socket).into(), transmit));
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    self.refused.notify_one();
                }
                // As lost as any datagram may be.
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn poll_recv(
        &self,
        task: &mut Context<'_>,
        room: &mut [IoSliceMut<'_>],
        received: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_recv_ready(task))?;
            let read = || self.abilities.recv((&self.socket).into(), room, received);
            // What else fails says something of what was sent, and nothing of what comes.
            if let Ok(read) = self.socket.try_io(Interest::READABLE, read) {
                return Poll::Ready(Ok(read));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.abilities.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.abilities.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.abilities.gro_segments()
    }
}

/// Waits until the socket takes more.
#[derive(Debug)]
struct Writable(Arc<QuicSocket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.socket.poll_send_ready(task)
    }
}
