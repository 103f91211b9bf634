use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection with somebody outside, whatever carries its bytes. A small head and body go out in one plain call.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
}

/// What is copied together rather than handed to the kernel in pieces: up to here the copy costs less than what `writev`
/// costs more than `send`.
const SMALL: usize = 1024;

impl Stream {
    /// Ready when a read would not wait. It costs no system call and no buffer until then.
    pub fn poll_readable(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(task),
        }
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr(),
        }
    }

    /// Makes closing it a reset, for an answer whose end only the end of the connection would tell: so its client does not
    /// take what it has for all there is.
    pub fn abort_on_close(&self) {
        match self {
            // A socket that cannot be set up is broken already.
            Self::Tcp(stream) => drop(socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO))),
        }
    }

    fn tcp(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read(task, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.tcp().poll_write(task, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [one] = slices {
            return self.tcp().poll_write(task, one);
        }
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > SMALL {
            return self.tcp().poll_write_vectored(task, slices);
        }
        let mut together = [0; SMALL];
        let mut length = 0;
        for slice in slices {
            together[length..length + slice.len()].copy_from_slice(slice);
            length += slice.len();
        }
        self.tcp().poll_write(task, &together[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_shutdown(task)
    }
}
