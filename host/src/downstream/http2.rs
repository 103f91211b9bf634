use std::io;
use std::task::{Context, Poll, ready};

use plimsoll_fields::Frame;
use plimsoll_http2::Body;

use crate::error::{Error, ErrorKind};

/// The body of a request on a stream of HTTP/2. The client may send as much as was taken.
#[derive(Debug)]
pub struct Http2Body(Body);

impl Http2Body {
    pub fn new(body: Body) -> Self {
        Self(body)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.0.is_ended()
    }

    pub(super) fn remaining(&self) -> Option<u64> {
        if self.0.is_ended() { Some(0) } else { self.0.remaining() }
    }

    pub(super) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match ready!(self.0.poll_data(task)) {
            Some(Ok(data)) => Poll::Ready(Some(Ok(Frame::Data(data)))),
            Some(Err(code)) => {
                let error = io::Error::other(format!("the stream was reset: {code:?}"));
                Poll::Ready(Some(Err(Error::new(ErrorKind::ClientAbort, error))))
            }
            None => Poll::Ready(self.0.take_trailers().map(|trailers| Ok(Frame::Trailers(trailers)))),
        }
    }
}
