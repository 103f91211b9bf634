use std::future::poll_fn;
use std::task::{Context, Poll};

use http::header::CONTENT_LENGTH;
use plimsoll_fields::{Frame, RequestHead};
use plimsoll_http3::{Code, read_request};
use quinn::RecvStream;

use crate::error::{Error, ErrorKind};
use crate::io::{Http3Message, Unread};

/// A request that comes on a stream of HTTP/3: first its head is read, then its body. The client may send as much as was taken.
#[derive(Debug)]
pub struct Http3Body {
    message: Http3Message,
    most_header_bytes: usize,
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

impl From<Unread> for NoHead {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Gone(_) => Self::Gone,
            Unread::Malformed(how) => Self::Malformed(how),
            Unread::TooLarge => Self::TooLarge,
            Unread::Broken(_) => Self::Broken,
        }
    }
}

impl Http3Body {
    /// `most_header_bytes`: what head and trailers may have.
    pub fn new(connection: quinn::Connection, stream: RecvStream, most_header_bytes: usize) -> Self {
        // RFC 9114 section 4.1: the answer does not depend on what is still to come.
        Self { message: Http3Message::new(connection, stream, most_header_bytes, Code::NoError), most_header_bytes }
    }

    /// Reads the head. What comes behind it is read as a body.
    pub async fn read_head(&mut self) -> Result<RequestHead, NoHead> {
        let section = poll_fn(|task| self.message.poll_section(task)).await?;
        let head = read_request(&section, self.most_header_bytes).map_err(|error| self.message.unreadable(error))?;
        let length = head.headers.get(CONTENT_LENGTH);
        // Whether it is a length is judged with the rest of the head.
        self.message.begin_body(length.and_then(|length| length.to_str().ok()?.parse().ok()));
        Ok(head)
    }

    /// True when all of it has come.
    pub fn is_ended(&self) -> bool {
        self.message.is_ended()
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        self.message.remaining()
    }

    pub(super) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        self.message.poll_frame(task).map_err(|unread| match unread {
            Unread::Gone(error) => Error::new(ErrorKind::ClientAbort, error),
            Unread::Malformed(how) => ErrorKind::BadRequest(how).into(),
            Unread::TooLarge => ErrorKind::BadRequest("trailers are too large").into(),
            Unread::Broken(_) => ErrorKind::ClientAbort.into(),
        })
    }

    /// Nothing more of it is wanted.
    pub fn stop(&mut self, code: Code) {
        self.message.stop(code);
    }
}
