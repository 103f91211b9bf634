use std::rc::Rc;
use std::task::{Context, Poll};

use plimsoll_fields::Frame;

use super::base64::Base64Body;
use super::body::Body;
use super::http1::Inbound;
use super::http2::Http2Body;
use super::http3::Http3Body;
use super::read_ahead::ReadAhead;
use crate::error::Error;

/// The body of a request while its client sends it, by whatever protocol.
#[derive(Debug)]
pub enum ClientBody {
    Empty,
    Http1(Rc<Inbound>),
    /// In a box, since it is moved about with the future of its request, which must stay small.
    Http2(Box<Http2Body>),
    Http3(Box<Http3Body>),
    /// Of whichever of these, but in base64.
    Base64(Box<Base64Body<Self>>),
    /// The same, with its beginning read ahead.
    ReadAhead(Box<ReadAhead<Self>>),
}

impl ClientBody {
    /// Reads until so many bytes have come, or all of them. What was read is kept for whoever reads on.
    pub async fn read_ahead(&mut self, bytes: usize) -> Result<(), Error> {
        if !self.is_read_ahead() {
            let body = std::mem::replace(self, Self::Empty);
            *self = Self::ReadAhead(Box::new(ReadAhead::new(body)));
        }
        match self {
            Self::ReadAhead(body) => body.read(bytes).await,
            _ => Ok(()),
        }
    }

    pub fn is_read_ahead(&self) -> bool {
        matches!(self, Self::ReadAhead(_))
    }

    /// What was read ahead; none where there is no body.
    pub fn beginning(&self) -> Option<&[u8]> {
        match self {
            _ if self.is_ended() => None,
            Self::ReadAhead(body) => Some(body.beginning()),
            _ => Some(b""),
        }
    }
}

impl Body for ClientBody {
    fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Http1(inbound) => inbound.poll_frame(task),
            Self::Http2(body) => body.poll_frame(task),
            Self::Http3(body) => body.poll_frame(task),
            Self::Base64(body) => body.poll_frame(task),
            Self::ReadAhead(body) => body.poll_frame(task),
        }
    }

    fn is_ended(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(inbound) => inbound.body_ended(),
            Self::Http2(body) => body.is_ended(),
            Self::Http3(body) => body.is_ended(),
            Self::Base64(body) => body.is_ended(),
            Self::ReadAhead(body) => body.is_ended(),
        }
    }

    fn remaining(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Http1(inbound) => inbound.remaining(),
            Self::Http2(body) => body.remaining(),
            Self::Http3(body) => body.remaining(),
            Self::Base64(body) => body.is_ended().then_some(0),
            Self::ReadAhead(body) => body.remaining(),
        }
    }
}
