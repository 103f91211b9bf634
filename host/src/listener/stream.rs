use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Connection;
use crate::net::Stream;
use crate::proxy::Client;

/// The first bytes of an HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's stream that tells its connection what passes, gives back the bytes that were looked at, and sends what
/// endpoints answer in advance.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: Stream,
    client: Rc<Client>,
    /// Heads of answers in advance of which sending has begun.
    interim: Vec<u8>,
    /// Nothing that hyper has written since is left with it.
    flushed: bool,
    connection: Rc<Connection>,
    seen: [u8; PREFACE.len()],
    seen_len: usize,
    returned: usize,
    /// The client has ended its side.
    finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream, client: Rc<Client>, connection: Rc<Connection>) -> Self {
        Self {
            stream: Stream(stream),
            client,
            interim: Vec::new(),
            flushed: true,
            connection,
            seen: [0; PREFACE.len()],
            seen_len: 0,
            returned: 0,
            finished: false,
        }
    }

    /// The stream of a client that may still send; none when it has finished.
    pub(super) fn unfinished(self) -> Option<TcpStream> {
        (!self.finished).then_some(self.stream.0)
    }

    /// Reads until it is clear which protocol the client speaks.
    pub(super) async fn detect(&mut self) -> io::Result<Protocol> {
        while self.seen_len < PREFACE.len() {
            let read = self.stream.read(&mut self.seen[self.seen_len..]).await?;
            if read == 0 {
                return Ok(Protocol::Http1);
            }
            self.seen_len += read;
            if self.seen[..self.seen_len] != PREFACE[..self.seen_len] {
                return Ok(Protocol::Http1);
            }
        }
        Ok(Protocol::Http2)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.returned < this.seen_len {
            let rest = &this.seen[this.returned..this.seen_len];
            let taken = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..taken]);
            this.returned += taken;
            return Poll::Ready(Ok(()));
        }
        let filled = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > filled {
            this.connection.received();
        } else if read.is_ready() {
            this.finished = true;
        }
        read
    }
}

impl ClientStream {
    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.connection.write_stalled(),
            Poll::Ready(_) => self.connection.written(),
        }
    }

    /// Sends what endpoints have answered in advance. It is given before the answer is, so it goes first; only behind the
    /// rest of an answer that hyper still holds there is no place for it.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(heads) = self.client.interim.take()
            && self.flushed
        {
            self.interim.extend_from_slice(&heads);
        }
        while !self.interim.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.interim);
            self.note_write(&written);
            let count = ready!(written)?;
            self.interim.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interim(context))?;
        this.flushed = false;
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interim(context))?;
        this.flushed = false;
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper has written all that it had.
        this.flushed = true;
        ready!(this.poll_interim(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
