use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::completion::Completion;
use super::early_tls::EarlyTls;

/// A connection with somebody outside, whatever carries its bytes. A small head and body go out in one plain call.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// With a client that has sent before its handshake was over.
    Early(Box<EarlyTls>),
}

/// What is copied together rather than handed to the kernel in pieces: up to here the copy costs less than what `writev`
/// costs more than `send`.
const SMALL: usize = 1024;

impl Stream {
    /// Ready when a read would not wait. It costs no system call and no buffer until then.
    pub fn poll_readable(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(task),
            Self::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                // What is decrypted already is not in the socket any more.
                if session.wants_read() { socket.poll_read_ready(task) } else { Poll::Ready(Ok(())) }
            }
            Self::Early(stream) if stream.wants_read() => stream.get_ref().0.poll_read_ready(task),
            Self::Early(_) => Poll::Ready(Ok(())),
        }
    }

    /// True while the other side has neither closed the connection nor sent anything. What it may send at any time about TLS
    /// itself, such as tickets, is taken in. Costs no system call unless something has happened.
    pub fn is_quiet(&mut self) -> bool {
        match self {
            Self::Tcp(stream) => {
                matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Tls(_) | Self::Early(_) => {
                // Nobody waits for what comes on a connection that is idle.
                let mut task = Context::from_waker(Waker::noop());
                Pin::new(self).poll_read(&mut task, &mut ReadBuf::new(&mut [0])).is_pending()
            }
        }
    }

    /// Whether HTTP/2 was agreed on in the handshake (ALPN).
    pub fn speaks_http2(&self) -> bool {
        let agreed = match self {
            Self::Tcp(_) => None,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
            Self::Early(stream) => stream.get_ref().1.alpn_protocol(),
        };
        agreed == Some(b"h2")
    }

    /// How the handshake stands of a client that has sent before it was over.
    pub fn completion(&self) -> Option<&Arc<Completion>> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => None,
            Self::Early(stream) => Some(stream.completion()),
        }
    }

    /// Takes in what comes until the handshake is over.
    pub fn poll_handshake(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => Poll::Ready(Ok(())),
            Self::Early(stream) => stream.poll_handshake(task),
        }
    }

    /// The socket of one whose bytes are as they are sent.
    pub fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(_) | Self::Early(_) => None,
        }
    }

    pub fn is_encrypted(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// Makes closing it a reset, for an answer whose end only the end of the connection would tell: so its client does not
    /// take what it has for all there is.
    pub fn abort_on_close(&self) {
        // A socket that cannot be set up is broken already.
        drop(socket2::SockRef::from(self.socket()).set_linger(Some(std::time::Duration::ZERO)));
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Early(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Early(stream) => Pin::new(stream).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(task, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(task, bytes),
            Self::Early(stream) => Pin::new(stream).poll_write(task, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Tls(stream) => return Pin::new(stream).poll_write_vectored(task, slices),
            Self::Early(stream) => return Pin::new(stream).poll_write_vectored(task, slices),
        };
        if let [one] = slices {
            return stream.poll_write(task, one);
        }
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > SMALL {
            return stream.poll_write_vectored(task, slices);
        }
        let mut together = [0; SMALL];
        let mut length = 0;
        for slice in slices {
            together[length..length + slice.len()].copy_from_slice(slice);
            length += slice.len();
        }
        stream.poll_write(task, &together[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(task),
            Self::Tls(stream) => Pin::new(stream).poll_flush(task),
            Self::Early(stream) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(task),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(task),
            Self::Early(stream) => Pin::new(stream).poll_shutdown(task),
        }
    }
}
