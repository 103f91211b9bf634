use std::cell::{Cell, RefCell, RefMut};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use plimsoll_fields::Frame;
use plimsoll_http1::{self as http1, BodyDecoder, Framing, HeadLimits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{Error, ErrorKind};
use crate::io::{Buffers, ReadBuffer, Stream};

/// A connection of HTTP/1.1 with what was read on it. The listener reads heads here, the body of the request under way
/// reads the rest, wherever it is read: never both at once, since a body is whole before the next head is looked for.
#[derive(Debug)]
pub struct Inbound {
    stream: RefCell<Stream>,
    read: RefCell<ReadBuffer>,
    buffers: Rc<Buffers>,
    decoder: RefCell<BodyDecoder>,
    /// The client waits to be told that it may send the body.
    expects_continue: Cell<bool>,
    continue_due: Cell<bool>,
    /// The client has ended its side.
    ended: Cell<bool>,
    /// Whoever runs the connection.
    owner: RefCell<Option<Waker>>,
}

/// For a read, in bytes.
const MOST_ROOM: usize = 64 * 1024;

impl Inbound {
    /// `read` was read from the stream before.
    pub fn new(stream: Stream, read: BytesMut, buffers: Rc<Buffers>) -> Rc<Self> {
        Rc::new(Self {
            stream: RefCell::new(stream),
            read: RefCell::new(ReadBuffer::new(read, MOST_ROOM)),
            buffers,
            decoder: RefCell::new(BodyDecoder::new(Framing::Length(0))),
            expects_continue: Cell::default(),
            continue_due: Cell::default(),
            ended: Cell::default(),
            owner: RefCell::default(),
        })
    }

    /// Whether nothing that was read is left.
    pub fn is_empty(&self) -> bool {
        self.read.borrow().is_empty()
    }

    /// Bytes that were read and not used yet.
    pub fn unused(&self) -> RefMut<'_, BytesMut> {
        RefMut::map(self.read.borrow_mut(), |read| &mut **read)
    }

    /// True once the client has ended its side.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// The head at the beginning of what was read, if it is whole. Its body is the next thing to be read.
    pub fn take_head(&self, limits: &HeadLimits) -> Result<Option<http1::Request>, http1::Error> {
        let request = http1::take_request(&mut self.read.borrow_mut(), limits)?;
        if let Some(request) = &request {
            *self.decoder.borrow_mut() = BodyDecoder::new(request.framing);
            self.expects_continue.set(request.expects_continue);
            self.continue_due.set(false);
        }
        Ok(request)
    }

    /// Gives back the buffer, and what a body has made it grow to, before a wait of unknown length.
    pub fn settle(&self) {
        self.read.borrow_mut().give_back(&self.buffers);
    }

    /// Reads more; 0 is the end of what the client sends.
    pub fn poll_fill(&self, task: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut read = self.read.borrow_mut();
        let count = ready!(read.poll_fill_lent(&mut self.stream.borrow_mut(), &self.buffers, task))?;
        if count == 0 {
            self.ended.set(true);
        }
        Poll::Ready(Ok(count))
    }

    /// The connection has become another protocol's: whatever comes from here on, up to its end, is the body of the request
    /// under way.
    pub fn begin_tunnel(&self) {
        *self.decoder.borrow_mut() = BodyDecoder::new(Framing::Close);
    }

    /// True when the body of the request under way has come whole.
    pub fn body_ended(&self) -> bool {
        self.decoder.borrow().is_ended()
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.decoder.borrow().remaining()
    }

    pub(super) fn poll_frame(&self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            if let Some(frame) = self.take_frame().transpose() {
                return Poll::Ready(Some(frame));
            }
            if self.body_ended() {
                return Poll::Ready(None);
            }
            if self.expects_continue.take() {
                self.continue_due.set(true);
                if let Some(owner) = &*self.owner.borrow() {
                    owner.wake_by_ref();
                }
            }
            match ready!(self.poll_fill(task)) {
                Ok(0) => {
                    let ended = self.decoder.borrow_mut().connection_ended();
                    return Poll::Ready(ended.err().map(|error| Err(Error::new(ErrorKind::ClientAbort, error))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Error::new(ErrorKind::ClientAbort, error)))),
            }
        }
    }

    /// A piece of the body from what was read.
    fn take_frame(&self) -> Result<Option<Frame>, Error> {
        self.decoder.borrow_mut().take(&mut self.read.borrow_mut()).map_err(|error| match error {
            http1::Error::Malformed(how) => ErrorKind::BadRequest(how).into(),
            error => Error::new(ErrorKind::BadRequest("trailers are too large"), error),
        })
    }

    /// Throws away what has come of a body that nobody wanted. True when that was all of it.
    pub fn discard_body(&self) -> bool {
        while let Ok(Some(_)) = self.take_frame() {}
        self.body_ended()
    }

    /// True once, when the client is to be told that it may send the body. `task` is woken when that may have changed.
    pub fn take_continue(&self, task: &Context<'_>) -> bool {
        if self.expects_continue.get() {
            self.owner.replace(Some(task.waker().clone()));
        }
        self.continue_due.take()
    }

    /// Notices what the client does while its answer is made: what it sends in advance is left for later, also the end of
    /// its side. Fails when it has gone.
    pub fn poll_watch(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The request may wait for the end of the handshake.
        if let Poll::Ready(Err(error)) = self.stream.borrow_mut().poll_handshake(task) {
            return Poll::Ready(Err(error));
        }
        // While a body comes, whoever reads it notices.
        if !self.body_ended() || self.ended.get() || !self.is_empty() {
            return Poll::Pending;
        }
        self.poll_fill(task).map_ok(drop)
    }

    /// The stream and what was read of it, to go on in another way. None while somebody else has it.
    pub fn into_stream(inbound: Rc<Self>) -> Option<(Stream, BytesMut)> {
        let inbound = Rc::into_inner(inbound)?;
        Some((inbound.stream.into_inner(), inbound.read.into_inner().into_bytes()))
    }

    /// The stream, to write to it.
    pub fn stream(&self) -> RefMut<'_, Stream> {
        self.stream.borrow_mut()
    }
}

/// Reading and writing it as the connection that it is, such as to end it.
impl AsyncRead for &Inbound {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(task, buffer)
    }
}

impl AsyncWrite for &Inbound {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_write(task, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_write_vectored(task, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(task)
    }
}
