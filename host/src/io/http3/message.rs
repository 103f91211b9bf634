use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use plimsoll_fields::Frame;
use plimsoll_http3::{Code, HeadError, Piece, RequestStream, read_trailers};
use quinn::{ReadError, RecvStream};

use super::code::IntoQuic;

/// Room for what comes of a body at once, in bytes; it grows while a body fills it.
const ROOM: usize = 4 * 1024;
const MOST_ROOM: usize = 64 * 1024;

/// What one side sends on a stream of HTTP/3: first its head is read, then its body. The other side may send as much as was taken.
#[derive(Debug)]
pub struct Http3Message {
    connection: quinn::Connection,
    stream: RecvStream,
    frames: RequestStream,
    /// What was read of the stream, and not of the message.
    unread: Bytes,
    buffer: BytesMut,
    room: usize,
    /// Bytes still to come, where the other side has said how many.
    remaining: Option<u64>,
    most_header_bytes: usize,
    is_ended: bool,
    /// What the other side is told when the rest is not wanted.
    unwanted: Code,
}

/// Why nothing more of a message is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// The other side has gone, or has broken off.
    Gone(ReadError),
    /// The message is to end with this.
    Malformed(&'static str),
    TooLarge,
    /// The connection ends: what the other side is told has been said.
    Broken(Code),
}

impl Http3Message {
    /// `most_header_bytes`: what head and trailers may have. `unwanted` is what the other side is told when this is dropped before
    /// the end.
    pub fn new(connection: quinn::Connection, stream: RecvStream, most_header_bytes: usize, unwanted: Code) -> Self {
        Self {
            connection,
            stream,
            frames: RequestStream::new(most_header_bytes),
            unread: Bytes::new(),
            buffer: BytesMut::new(),
            room: ROOM,
            remaining: None,
            most_header_bytes,
            is_ended: false,
            unwanted,
        }
    }

    /// The field section of the head.
    pub fn poll_section(&mut self, task: &mut Context<'_>) -> Poll<Result<Bytes, Unread>> {
        loop {
            match self.frames.take(&mut self.unread) {
                Ok(Some(Piece::Section(section))) => return Poll::Ready(Ok(section)),
                Ok(Some(Piece::TooLarge)) => return Poll::Ready(Err(Unread::TooLarge)),
                // Nothing else comes before a head.
                Ok(Some(Piece::Data(_)) | None) => {}
                Err(code) => return Poll::Ready(Err(self.break_off(code))),
            }
            let read = ready!(pin!(self.stream.read_chunk(usize::MAX, true)).poll(task));
            match read {
                Ok(Some(chunk)) => self.unread = chunk.bytes,
                Ok(None) => {
                    return Poll::Ready(Err(match self.frames.end() {
                        Err(code @ Code::FrameError) => self.break_off(code),
                        _ => Unread::Malformed("a stream that ends before its head"),
                    }));
                }
                Err(error) => return Poll::Ready(Err(Unread::Gone(error))),
            }
        }
    }

    /// The head that was read is one in advance of another.
    pub fn expect_another_head(&mut self) {
        self.frames.expect_another_head();
    }

    /// What is to be done about a head, or trailers, that cannot be read.
    pub fn unreadable(&self, error: HeadError) -> Unread {
        match error {
            HeadError::Undecodable => self.break_off(Code::DecompressionFailed),
            HeadError::Malformed(malformed) => Unread::Malformed(malformed.as_str()),
            HeadError::TooLarge => Unread::TooLarge,
        }
    }

    /// What follows is a body, of so many bytes if that is known. Most messages without one end with their head, and are told from
    /// others by that.
    pub fn begin_body(&mut self, length: Option<u64>) {
        self.remaining = length;
        self.look_for_end();
    }

    /// Sees whether the end has come together with what was read.
    fn look_for_end(&mut self) {
        if !self.unread.is_empty() || self.remaining.is_some_and(|remaining| remaining > 0) {
            return;
        }
        // Whoever reads on is woken.
        let mut nobody = Context::from_waker(Waker::noop());
        match pin!(self.stream.read_chunk(usize::MAX, true)).poll(&mut nobody) {
            Poll::Ready(Ok(Some(chunk))) => self.unread = chunk.bytes,
            Poll::Ready(Ok(None)) => self.is_ended = self.frames.end().is_ok(),
            // Whoever reads on hears of it.
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
    }

    /// True when all of it has come.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub fn remaining(&self) -> Option<u64> {
        if self.is_ended { Some(0) } else { self.remaining }
    }

    /// The next piece of the body; none at the end.
    pub fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Unread>>> {
        loop {
            if self.is_ended {
                return Poll::Ready(None);
            }
            match self.frames.take(&mut self.unread) {
                Ok(Some(Piece::Data(data))) => return Poll::Ready(Some(self.counted(data).map(Frame::Data))),
                Ok(Some(Piece::Section(section))) => return Poll::Ready(Some(self.trailers(&section))),
                Ok(Some(Piece::TooLarge)) => return Poll::Ready(Some(Err(self.refuse(Unread::TooLarge)))),
                Ok(None) => {}
                Err(code) => return Poll::Ready(Some(Err(self.break_off(code)))),
            }
            match ready!(self.poll_read(task)) {
                Ok(0) => return Poll::Ready(self.end().err().map(Err)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Unread::Gone(error)))),
            }
        }
    }

    /// Reads what has come, of however many datagrams, up to some bytes.
    fn poll_read(&mut self, task: &mut Context<'_>) -> Poll<Result<usize, ReadError>> {
        if self.buffer.capacity() < self.room {
            self.buffer.reserve(self.room);
        }
        let read = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), task, &mut self.buffer));
        let count = read.map_err(as_read_error)?;
        if count >= self.room {
            self.room = (self.room * 2).min(MOST_ROOM);
        }
        self.unread = self.buffer.split().freeze();
        Poll::Ready(Ok(count))
    }

    /// RFC 9114 section 4.1.2: neither more nor less than the other side has said.
    fn counted(&mut self, data: Bytes) -> Result<Bytes, Unread> {
        if let Some(remaining) = &mut self.remaining {
            match remaining.checked_sub(data.len() as u64) {
                Some(left) => *remaining = left,
                None => return Err(self.refuse(Unread::Malformed("a body longer than its Content-Length"))),
            }
        }
        self.look_for_end();
        Ok(data)
    }

    fn trailers(&mut self, section: &[u8]) -> Result<Frame, Unread> {
        match read_trailers(section, self.most_header_bytes) {
            Ok(trailers) => Ok(Frame::Trailers(trailers)),
            Err(error) => {
                let unreadable = self.unreadable(error);
                Err(self.refuse(unreadable))
            }
        }
    }

    fn end(&mut self) -> Result<(), Unread> {
        if let Err(code) = self.frames.end() {
            return Err(self.break_off(code));
        }
        if self.remaining.is_some_and(|remaining| remaining > 0) {
            return Err(self.refuse(Unread::Malformed("a body shorter than its Content-Length")));
        }
        self.is_ended = true;
        Ok(())
    }

    /// Has the stream end as the fault wants it.
    fn refuse(&mut self, fault: Unread) -> Unread {
        match fault {
            Unread::Malformed(_) => self.stop(Code::MessageError),
            Unread::TooLarge => self.stop(Code::ExcessiveLoad),
            Unread::Gone(_) | Unread::Broken(_) => {}
        }
        fault
    }

    /// The other side breaks the protocol.
    fn break_off(&self, code: Code) -> Unread {
        self.connection.close(code.into_quic(), b"");
        Unread::Broken(code)
    }

    /// Nothing more of it is wanted.
    pub fn stop(&mut self, code: Code) {
        // It may be over.
        let _ = self.stream.stop(code.into_quic());
    }
}

impl Drop for Http3Message {
    fn drop(&mut self) {
        if !self.is_ended {
            self.stop(self.unwanted);
        }
    }
}

/// As the library has wrapped it.
fn as_read_error(error: io::Error) -> ReadError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ReadError>());
    inner.cloned().unwrap_or(ReadError::ClosedStream)
}
