use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, MAX_FORWARDS,
    SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body::Body;
use tokio::io::AsyncWrite;

use super::request_head::{self, RequestFraming};
use crate::error::{Error, ErrorKind};
use crate::upstream::RequestBody;

/// A request on its way to the endpoint: its head, and its body at the pace at which the endpoint takes it.
#[derive(Debug)]
pub(super) struct Upload {
    body: RequestBody,
    framing: RequestFraming,
    /// What goes out next, in front of `chunk`: the head, the frame of a chunk, small pieces of the body.
    out: Vec<u8>,
    written: usize,
    /// A piece of the body that is too large to be copied.
    chunk: Bytes,
    /// The line end behind `chunk` is due.
    chunk_is_open: bool,
    body_ended: bool,
    /// Something of the body has been taken, so that it cannot be sent again.
    began: bool,
}

/// Why an upload ended before its end.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The client's side, or a body that is not as long as was said.
    Body(Error),
    /// The endpoint takes no more. It may have answered all the same.
    Socket(io::Error),
}

/// Gathered before it is written, and up to which a piece is copied rather than written from where it is.
const GATHERED: usize = 8 * 1024;

impl Upload {
    /// Begins with the head. `out` is an empty buffer that was used before.
    pub(super) fn new(head: &Parts, body: RequestBody, mut out: Vec<u8>) -> Self {
        let framing = RequestFraming::of(head, body.size_hint().exact());
        request_head::write(head, framing, &mut out);
        let body_ended = body.is_end_stream() && framing != RequestFraming::Chunked;
        let (chunk, written) = (Bytes::new(), 0);
        Self { body, framing, out, written, chunk, chunk_is_open: false, body_ended, began: false }
    }

    /// Sends what can be sent; ready once all of it has been.
    pub(super) fn poll<W: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut W,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            let gathered = self.gather(task).map_err(UploadError::Body)?;
            ready!(self.poll_write(socket, task)).map_err(UploadError::Socket)?;
            if self.body_ended {
                return Poll::Ready(Ok(()));
            }
            ready!(gathered);
        }
    }

    /// The body, if nothing at all was sent.
    pub(super) fn unsent(self) -> Option<RequestBody> {
        (self.written == 0 && !self.began).then_some(self.body)
    }

    /// The buffer, for the next request.
    pub(super) fn into_buffer(mut self) -> Vec<u8> {
        self.out.clear();
        self.out
    }

    /// Takes of the body what there is now; pending when there may be more later.
    fn gather(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.body_ended && self.chunk.is_empty() && self.out.len() - self.written < GATHERED {
            if std::mem::take(&mut self.chunk_is_open) {
                self.out.extend_from_slice(b"\r\n");
            }
            match ready!(Pin::new(&mut self.body).poll_frame(task)) {
                None => self.end(None)?,
                Some(frame) => {
                    self.began = true;
                    match frame?.into_data() {
                        Ok(data) => self.add(data)?,
                        Err(frame) => self.end(frame.into_trailers().ok())?,
                    }
                }
            }
            if self.framing == RequestFraming::Length(0) {
                self.body_ended = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn add(&mut self, data: Bytes) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        let length = data.len() as u64;
        match &mut self.framing {
            RequestFraming::Length(left) => *left = left.checked_sub(length).ok_or_else(wrong_length)?,
            RequestFraming::None => return Err(wrong_length()),
            RequestFraming::Chunked => {
                // Writing to memory does not fail.
                let _ = write!(self.out, "{length:x}\r\n");
                self.chunk_is_open = true;
            }
        }
        if data.len() <= GATHERED {
            self.out.extend_from_slice(&data);
        } else {
            self.chunk = data;
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Error> {
        match self.framing {
            RequestFraming::Length(1..) => return Err(wrong_length()),
            RequestFraming::Length(0) | RequestFraming::None => {}
            RequestFraming::Chunked => {
                self.out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().flatten().filter(|(name, _)| may_trail(name)) {
                    self.out.extend_from_slice(name.as_str().as_bytes());
                    self.out.extend_from_slice(b": ");
                    self.out.extend_from_slice(value.as_bytes());
                    self.out.extend_from_slice(b"\r\n");
                }
                self.out.extend_from_slice(b"\r\n");
            }
        }
        self.body_ended = true;
        Ok(())
    }

    fn poll_write<W: AsyncWrite + Unpin>(&mut self, socket: &mut W, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let front = &self.out[self.written..];
            let socket = Pin::new(&mut *socket);
            let sent = match (front.is_empty(), self.chunk.is_empty()) {
                (true, true) => break,
                (false, true) => ready!(socket.poll_write(task, front))?,
                (true, false) => ready!(socket.poll_write(task, &self.chunk))?,
                (false, false) => {
                    ready!(socket.poll_write_vectored(task, &[IoSlice::new(front), IoSlice::new(&self.chunk)]))?
                }
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_front = sent.min(front.len());
            self.written += of_front;
            self.chunk.advance(sent - of_front);
        }
        // The head is out, so nothing is unsent from here on.
        self.began = true;
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

fn wrong_length() -> Error {
    Error::new(ErrorKind::ClientAbort, "the body is not as long as its head says")
}

/// Fields that decide about framing, routing or access mean nothing behind a body (RFC 9110 section 6.5.1).
fn may_trail(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 12] = [
        AUTHORIZATION,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        MAX_FORWARDS,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ];
    !FORBIDDEN.contains(name)
}
