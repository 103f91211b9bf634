use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use super::options;

/// A socket that connections are accepted from, one after the other.
///
/// Accepting where nobody waits is dear: before the kernel looks, it makes an inode, a directory entry and a file, and throws them
/// away, which takes about as long as receiving a request. So it is asked how many wait.
#[derive(Debug)]
pub struct Listening {
    socket: AsyncFd<TcpListener>,
    /// As far as is known; none when all that is known is that the reactor tells of the next one.
    waiting: Cell<Option<u32>>,
}

impl Listening {
    /// Of a socket that does not block.
    ///
    /// # Errors
    /// When the reactor does not take it.
    pub fn new(socket: TcpListener) -> io::Result<Self> {
        #[allow(unsafe_code, reason = "the reactor has to be told what it may not close")]
        // SAFETY: the listener has its descriptor from its beginning to its end, and nothing exchanges it: it is only lent.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self { socket, waiting: Cell::default() })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.async_io(Interest::READABLE, |socket| self.accept_next(socket)).await
    }

    /// Waits for nobody.
    ///
    /// # Errors
    /// Those of accept(2): `WouldBlock` when no connection is there.
    pub fn accept_waiting(&self) -> io::Result<(TcpStream, SocketAddr)> {
        accept(self.socket.get_ref())
    }

    fn accept_next(&self, socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let waiting = match self.waiting.get() {
            Some(0) => options::waiting_connections(socket)?,
            Some(waiting) => waiting,
            None => 1,
        };
        self.waiting.set(waiting.checked_sub(1));
        if waiting == 0 {
            // The reactor has told of whoever has come since it was asked.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        accept(socket).inspect_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.waiting.set(None);
            }
        })
    }
}

fn accept(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address): (OwnedFd, _) = acceptfrom_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((TcpStream::from_std(stream.into())?, address))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use socket2::{Domain, Protocol, Socket, Type};

    use super::*;

    /// Nobody comes for so long.
    const A_MOMENT: Duration = Duration::from_millis(50);

    fn listening() -> (Listening, SocketAddr) {
        let bound = super::super::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = bound.address().expect("an address");
        (Listening::new(bound.listen().expect("it is bound")).expect("a reactor"), address)
    }

    /// The kernel lets it in at once.
    fn connect(address: SocketAddr) -> Socket {
        let client = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        client.connect(&address.into()).expect("it listens");
        client
    }

    #[tokio::test]
    async fn all_are_accepted_whether_they_come_together_or_one_by_one() {
        let (listening, address) = listening();
        for together in [1, 3, 1, 1, 70, 2] {
            let mut clients = Vec::new();
            for _ in 0..together {
                clients.push(connect(address));
            }
            for client in clients {
                let (_, from) = listening.accept().await.expect("a client");
                assert_eq!(Some(from), client.local_addr().expect("an address").as_socket());
            }
            assert!(tokio::time::timeout(A_MOMENT, listening.accept()).await.is_err(), "nobody else is there");
        }
    }

    #[tokio::test]
    async fn who_comes_while_another_is_accepted_is_not_forgotten() {
        let (listening, address) = listening();
        for _ in 0..50 {
            let _first = connect(address);
            listening.accept().await.expect("the first");
            let (second, _client) = tokio::join!(listening.accept(), async { connect(address) });
            second.expect("the next");
        }
    }

    #[tokio::test]
    async fn those_that_wait_are_accepted_without_waiting_for_more() {
        let (listening, address) = listening();
        let is_nobody = |listening: &Listening| {
            listening.accept_waiting().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        assert!(is_nobody(&listening));
        let clients = [connect(address), connect(address)];
        listening.accept().await.expect("the first");
        listening.accept_waiting().expect("the second");
        assert!(is_nobody(&listening));
        // What it knew is no longer so.
        assert!(tokio::time::timeout(A_MOMENT, listening.accept()).await.is_err());
        drop(clients);
        let _client = connect(address);
        listening.accept().await.expect("the third");
    }
}
