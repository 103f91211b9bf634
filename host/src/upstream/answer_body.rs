use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use plimsoll_fields::Frame;

use super::exclusive::ExclusivePool;
use super::request_body::RequestBody;
use super::{http1, http2, http3};
use crate::error::Error;

/// The body of an answer, with its lease of a connection. Dropped before its end, it ends the connection of HTTP/1.1, or
/// its stream of HTTP/2 or HTTP/3.
#[derive(Debug)]
pub struct AnswerBody(Kind);

#[derive(Debug)]
enum Kind {
    Http1(http1::AnswerBody, Rc<ExclusivePool>),
    Http2(Box<http2::AnswerBody>),
    Http3(Box<http3::AnswerBody>),
}

impl AnswerBody {
    pub(super) fn http1(body: http1::AnswerBody, pool: Rc<ExclusivePool>) -> Self {
        Self(Kind::Http1(body, pool))
    }

    pub(super) fn http2(body: http2::AnswerBody) -> Self {
        Self(Kind::Http2(Box::new(body)))
    }

    pub(super) fn http3(body: http3::AnswerBody) -> Self {
        Self(Kind::Http3(Box::new(body)))
    }

    /// True once everything has been taken.
    pub fn is_ended(&self) -> bool {
        match &self.0 {
            Kind::Http1(body, _) => body.is_ended(),
            Kind::Http2(body) => body.is_ended(),
            Kind::Http3(body) => body.is_ended(),
        }
    }

    /// Bytes still to come, if that is known.
    pub fn remaining(&self) -> Option<u64> {
        match &self.0 {
            Kind::Http1(body, _) => body.remaining(),
            Kind::Http2(body) => body.remaining(),
            Kind::Http3(body) => body.remaining(),
        }
    }

    /// The endpoint has answered with another protocol (101): sends what the client sends in it, up to its end, while what
    /// comes is taken as the body.
    #[must_use]
    pub fn into_tunnel(self, body: RequestBody) -> Self {
        Self(match self.0 {
            Kind::Http1(answer, pool) => Kind::Http1(answer.into_tunnel(body), pool),
            Kind::Http2(mut answer) => {
                answer.begin_tunnel(body);
                Kind::Http2(answer)
            }
            Kind::Http3(mut answer) => {
                answer.begin_tunnel(body);
                Kind::Http3(answer)
            }
        })
    }

    /// The body whole, when all of it has come together with the head. Nothing is taken otherwise.
    pub fn take_whole(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.0 {
            Kind::Http1(body, _) => body.take_whole(),
            Kind::Http2(body) => Ok(body.is_ended().then(Bytes::new)),
            Kind::Http3(body) => Ok(body.is_ended().then(Bytes::new)),
        }
    }

    /// The next piece; none at the end.
    pub fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match &mut self.0 {
            Kind::Http1(body, _) => body.poll_frame(task),
            Kind::Http2(body) => body.poll_frame(task),
            Kind::Http3(body) => body.poll_frame(task),
        }
    }

    /// Gives the connection back, if it can take another request.
    pub fn finish(self, now: Instant) {
        match self.0 {
            Kind::Http1(body, pool) => {
                if let Some(connection) = body.into_connection() {
                    pool.put(connection, now);
                }
            }
            // A place gives itself back.
            Kind::Http2(_) | Kind::Http3(_) => {}
        }
    }
}
