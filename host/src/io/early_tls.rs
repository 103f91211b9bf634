use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::completion::Completion;

/// TLS with a client that sends before its handshake is over (0-RTT, RFC 8446 section 2.3), from there to its end: tokio-rustls
/// has no stream of a server before that. What is written goes out at once, as far as the configuration lets it (`send_half_rtt_data`).
#[derive(Debug)]
pub struct EarlyTls {
    socket: TcpStream,
    session: ServerConnection,
    completion: Arc<Completion>,
    /// What came before the end of the handshake, and was not read yet; no more than `max_early_data_size`.
    early: BytesMut,
    closing: bool,
}

impl EarlyTls {
    /// The session has seen its client's greeting, and takes what is sent early.
    pub fn new(socket: TcpStream, session: ServerConnection) -> Self {
        Self { socket, session, completion: Arc::default(), early: BytesMut::new(), closing: false }
    }

    pub fn get_ref(&self) -> (&TcpStream, &ServerConnection) {
        (&self.socket, &self.session)
    }

    pub fn completion(&self) -> &Arc<Completion> {
        &self.completion
    }

    /// Whether a read would wait for the socket.
    pub fn wants_read(&self) -> bool {
        self.early.is_empty() && self.session.wants_read()
    }

    /// Takes in what comes until the handshake is over, and leaves it for who reads.
    pub fn poll_handshake(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.poll_receive(task))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes in what has come with the greeting, and sends what answers that.
    pub fn begin(&mut self, task: &mut Context<'_>) -> io::Result<()> {
        self.process(task)
    }

    fn poll_receive(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let received = match self.session.read_tls(&mut AtOnce { socket: &mut self.socket, task }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            received => received?,
        };
        self.process(task)?;
        if received == 0 && self.session.is_handshaking() {
            self.completion.fail();
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn process(&mut self, task: &mut Context<'_>) -> io::Result<()> {
        let processed = self.session.process_new_packets();
        // The handshake's own, or why it has failed; whoever does not take it gets it with what is written next.
        let sent = self.poll_send(task);
        if let Err(error) = processed {
            self.completion.fail();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if let Poll::Ready(sent) = sent {
            sent?;
        }
        if let Some(mut early) = self.session.early_data() {
            let mut piece = [0; 1024];
            loop {
                match early.read(&mut piece)? {
                    0 => break,
                    count => self.early.extend_from_slice(&piece[..count]),
                }
            }
        }
        if !self.session.is_handshaking() {
            self.completion.reach();
        }
        Ok(())
    }

    /// Ready when nothing is left to be sent.
    fn poll_send(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut AtOnce { socket: &mut self.socket, task }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for EarlyTls {
    fn drop(&mut self) {
        self.completion.fail();
    }
}

impl AsyncRead for EarlyTls {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.early.is_empty() {
                let given = this.early.len().min(buffer.remaining());
                buffer.put_slice(&this.early[..given]);
                this.early.advance(given);
                if this.early.is_empty() {
                    // Nothing comes there any more, mostly.
                    this.early = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            match this.session.reader().read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(this.poll_receive(task))?;
        }
    }
}

impl AsyncWrite for EarlyTls {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(task, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let is_nothing = slices.iter().all(|slice| slice.is_empty());
        loop {
            let taken = this.session.writer().write_vectored(slices)?;
            let sent = this.poll_send(task);
            if taken > 0 || is_nothing {
                // What the socket does not take now goes out before the next piece is taken.
                return match sent {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    _ => Poll::Ready(Ok(taken)),
                };
            }
            ready!(sent)?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.closing, true) {
            this.session.send_close_notify();
        }
        ready!(this.poll_send(task))?;
        Poll::Ready(socket2::SockRef::from(&this.socket).shutdown(Shutdown::Write))
    }
}

/// The socket, read and written as far as that takes no waiting; the task is woken when it may go on.
struct AtOnce<'a, 'b> {
    socket: &'a mut TcpStream,
    task: &'a mut Context<'b>,
}

impl AtOnce<'_, '_> {
    fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
        match polled {
            Poll::Ready(done) => done,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl io::Read for AtOnce<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        Self::now(Pin::new(&mut *self.socket).poll_read(self.task, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl io::Write for AtOnce<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::now(Pin::new(&mut *self.socket).poll_write(self.task, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::now(Pin::new(&mut *self.socket).poll_write_vectored(self.task, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
