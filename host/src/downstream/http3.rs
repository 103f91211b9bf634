use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http_body::Frame;
use plimsoll_http3::{Code, HeadError, Piece, RequestHead, RequestStream, read_request, read_trailers};
use quinn::{RecvStream, VarInt};

use crate::error::{Error, ErrorKind};

/// Room for what comes of a body at once, in bytes; it grows while a body fills it.
const ROOM: usize = 4 * 1024;
const MOST_ROOM: usize = 64 * 1024;

/// A request that comes on a stream of HTTP/3: first its head is read, then its body. The client may send as much as was taken.
#[derive(Debug)]
pub struct Http3Body {
    connection: quinn::Connection,
    stream: RecvStream,
    frames: RequestStream,
    /// What was read of the stream, and not of the request.
    unread: Bytes,
    buffer: BytesMut,
    room: usize,
    /// Bytes still to come, where the client has said how many.
    remaining: Option<u64>,
    most_header_bytes: usize,
    is_ended: bool,
}

/// Why there is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHead {
    /// The client has gone, or has given the request up.
    Gone,
    /// The request is to end with this.
    Malformed(&'static str),
    TooLarge,
    /// The connection ends: what it is told has been said.
    Broken,
}

impl Http3Body {
    /// `most_header_bytes`: what head and trailers may have.
    pub fn new(connection: quinn::Connection, stream: RecvStream, most_header_bytes: usize) -> Self {
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
        }
    }

    /// Reads the head. What comes behind it is read as a body.
    pub async fn read_head(&mut self) -> Result<RequestHead, NoHead> {
        let section = loop {
            match self.frames.take(&mut self.unread) {
                Ok(Some(Piece::Section(section))) => break section,
                Ok(Some(Piece::TooLarge)) => return Err(NoHead::TooLarge),
                // Nothing else comes before a head.
                Ok(Some(Piece::Data(_)) | None) => {}
                Err(code) => return Err(self.break_off(code)),
            }
            match self.stream.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) => self.unread = chunk.bytes,
                Ok(None) => {
                    return Err(match self.frames.end() {
                        Err(code @ Code::FrameError) => self.break_off(code),
                        _ => NoHead::Malformed("a stream that ends before its head"),
                    });
                }
                Err(_) => return Err(NoHead::Gone),
            }
        };
        let head = read_request(&section, self.most_header_bytes).map_err(|error| match error {
            HeadError::Undecodable => self.break_off(Code::DecompressionFailed),
            HeadError::Malformed(malformed) => NoHead::Malformed(malformed.as_str()),
            HeadError::TooLarge => NoHead::TooLarge,
        })?;
        let mut lengths = head.parts.headers.get_all(CONTENT_LENGTH).iter();
        // Whether it is a length is judged with the rest of the head.
        self.remaining = lengths.next().and_then(|length| length.to_str().ok()?.parse().ok());
        self.look_for_end().await;
        Ok(head)
    }

    /// Most requests end with their head, and are told from those with a body by that.
    async fn look_for_end(&mut self) {
        if self.unread.is_empty() {
            let read = std::future::poll_fn(|task| {
                Poll::Ready(match pin!(self.stream.read_chunk(usize::MAX, true)).poll(task) {
                    Poll::Ready(read) => Some(read),
                    Poll::Pending => None,
                })
            });
            match read.await {
                Some(Ok(Some(chunk))) => self.unread = chunk.bytes,
                Some(Ok(None)) => self.is_ended = self.remaining.unwrap_or(0) == 0,
                // Whoever reads on hears of it.
                Some(Err(_)) | None => {}
            }
        }
    }

    /// True when all of it has come.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        if self.is_ended { Some(0) } else { self.remaining }
    }

    pub(super) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if self.is_ended {
                return Poll::Ready(None);
            }
            match self.frames.take(&mut self.unread) {
                Ok(Some(Piece::Data(data))) => return Poll::Ready(Some(self.counted(data).map(Frame::data))),
                Ok(Some(Piece::Section(section))) => return Poll::Ready(Some(self.trailers(&section))),
                Ok(Some(Piece::TooLarge)) => {
                    return Poll::Ready(Some(Err(self.refuse(Code::ExcessiveLoad, "trailers are too large"))));
                }
                Ok(None) => {}
                Err(code) => {
                    self.break_off(code);
                    return Poll::Ready(Some(Err(ErrorKind::ClientAbort.into())));
                }
            }
            match ready!(self.poll_read(task)) {
                Ok(0) => return Poll::Ready(self.end().err().map(Err)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Error::new(ErrorKind::ClientAbort, error)))),
            }
        }
    }

    /// Reads what has come, of however many datagrams, up to some bytes.
    fn poll_read(&mut self, task: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.buffer.capacity() < self.room {
            self.buffer.reserve(self.room);
        }
        let count = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), task, &mut self.buffer))?;
        if count >= self.room {
            self.room = (self.room * 2).min(MOST_ROOM);
        }
        self.unread = self.buffer.split().freeze();
        Poll::Ready(Ok(count))
    }

    /// RFC 9114 section 4.1.2: neither more nor less than the client has said.
    fn counted(&mut self, data: Bytes) -> Result<Bytes, Error> {
        if let Some(remaining) = &mut self.remaining {
            match remaining.checked_sub(data.len() as u64) {
                Some(left) => *remaining = left,
                None => return Err(self.refuse(Code::MessageError, "a body longer than its Content-Length")),
            }
        }
        Ok(data)
    }

    fn trailers(&mut self, section: &[u8]) -> Result<Frame<Bytes>, Error> {
        match read_trailers(section, self.most_header_bytes) {
            Ok(trailers) => Ok(Frame::trailers(trailers)),
            Err(HeadError::Undecodable) => {
                self.break_off(Code::DecompressionFailed);
                Err(ErrorKind::ClientAbort.into())
            }
            Err(HeadError::Malformed(malformed)) => Err(self.refuse(Code::MessageError, malformed.as_str())),
            Err(HeadError::TooLarge) => Err(self.refuse(Code::ExcessiveLoad, "trailers are too large")),
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Err(code) = self.frames.end() {
            self.break_off(code);
            return Err(ErrorKind::ClientAbort.into());
        }
        if self.remaining.is_some_and(|remaining| remaining > 0) {
            return Err(self.refuse(Code::MessageError, "a body shorter than its Content-Length"));
        }
        self.is_ended = true;
        Ok(())
    }

    /// The request is malformed.
    fn refuse(&mut self, code: Code, how: &'static str) -> Error {
        self.stop(code);
        ErrorKind::BadRequest(how).into()
    }

    /// The client breaks the protocol.
    fn break_off(&self, code: Code) -> NoHead {
        self.connection.close(VarInt::from_u32(code as u32), b"");
        NoHead::Broken
    }

    /// Nothing more of it is wanted.
    pub fn stop(&mut self, code: Code) {
        // It may be over.
        let _ = self.stream.stop(VarInt::from_u32(code as u32));
    }
}

impl Drop for Http3Body {
    fn drop(&mut self) {
        if !self.is_ended {
            // RFC 9114 section 4.1: the answer does not depend on what is still to come.
            self.stop(Code::NoError);
        }
    }
}
