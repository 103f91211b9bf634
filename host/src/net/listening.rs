use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

/// A socket that connections are accepted from, one after the other.
///
/// Accepting where nobody waits is dear: before the kernel looks, it makes an inode, a directory entry and a file, and throws them
/// away, which takes about as long as receiving a request. So it is asked whether another one waits.
#[derive(Debug)]
pub struct Listening {
    socket: AsyncFd<TcpListener>,
    /// One was accepted of those that the reactor has told of: there may be more, or not.
    is_in_midst: Cell<bool>,
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
        Ok(Self { socket, is_in_midst: Cell::new(false) })
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
        if self.is_in_midst.replace(false) && !has_waiting(socket)? {
            // Whoever comes from here on is told of by the reactor.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let accepted = accept(socket)?;
        self.is_in_midst.set(true);
        Ok(accepted)
    }
}

fn has_waiting(socket: &TcpListener) -> io::Result<bool> {
    const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&NO_TIME))? > 0)
}

fn accept(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address): (OwnedFd, _) = acceptfrom_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((TcpStream::from_std(stream.into())?, address))
}
