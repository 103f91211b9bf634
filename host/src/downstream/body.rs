use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::base64::Base64Body;
use super::http1::Inbound;
use super::http2::Http2Body;
use super::http3::Http3Body;
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
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(inbound) => inbound.poll_frame(task),
            Self::Http2(body) => body.poll_frame(task),
            Self::Http3(body) => body.poll_frame(task),
            Self::Base64(body) => body.poll_frame(task),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(inbound) => inbound.body_ended(),
            Self::Http2(body) => body.is_ended(),
            Self::Http3(body) => body.is_ended(),
            Self::Base64(body) => body.is_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let remaining = match self {
            Self::Empty => Some(0),
            Self::Http1(inbound) => inbound.remaining(),
            Self::Http2(body) => body.remaining(),
            Self::Http3(body) => body.remaining(),
            Self::Base64(body) => body.is_ended().then_some(0),
        };
        remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
