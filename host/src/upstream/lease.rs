use std::rc::Rc;

use plimsoll_fields::{RequestHead, ResponseHead};

use super::answer_body::AnswerBody;
use super::exclusive::ExclusivePool;
use super::http1;
use super::http2;
use super::http3;
use super::request_body::RequestBody;
use super::shared;
use crate::error::{Error, ErrorKind};
use crate::timer::Timers;

/// A request's right to a connection: to the whole of it (HTTP/1.1), or to a place on it (HTTP/2, HTTP/3). It gives itself back,
/// here or at the end of the answer that comes of it.
#[derive(Debug)]
pub(super) enum Lease {
    Exclusive { connection: Box<http1::Connection>, pool: Rc<ExclusivePool>, reused: bool },
    Http2(http2::Lease),
    Http3(http3::Lease),
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// The endpoint has acted on nothing of the request.
    pub(super) unacted: bool,
    /// It failed with a connection that others have used before, which the endpoint may just have closed.
    pub(super) stale: bool,
}

impl Lease {
    /// Of a connection that is there, as far as is known.
    pub(super) fn of_kept(pool: &Rc<ExclusivePool>) -> Option<Self> {
        pool.take().map(|connection| Self::Exclusive { connection, pool: pool.clone(), reused: true })
    }

    /// Of a connection that has just been made.
    pub(super) fn of_new(connection: Box<http1::Connection>, pool: &Rc<ExclusivePool>) -> Self {
        Self::Exclusive { connection, pool: pool.clone(), reused: false }
    }

    /// Of a place on the next connection of HTTP/2 that has one, where nothing else is spoken.
    pub(super) async fn of_http2(pool: &Rc<http2::Pool>, timers: &Timers) -> Result<Self, Error> {
        match pool.wait(timers).await? {
            http2::Place::On(lease) => Ok(Self::Http2(lease)),
            http2::Place::Other(_) => Err(Error::new(ErrorKind::TlsFailure, "it does not speak HTTP/2 (ALPN)")),
        }
    }

    /// Whether others have used the connection before.
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Self::Exclusive { reused, .. } => *reused,
            Self::Http2(lease) => lease.is_reused(),
            Self::Http3(lease) => lease.is_reused(),
        }
    }

    /// Sends a request in the form of the connection's protocol, and waits for the head of its answer; heads of answers in
    /// advance go to `interim`.
    pub(super) async fn exchange(
        self,
        head: &RequestHead,
        body: RequestBody,
        interim: &dyn Fn(ResponseHead),
    ) -> Result<(ResponseHead, AnswerBody), Failure> {
        match self {
            Self::Exclusive { connection, pool, reused } => match connection.exchange(head, body, interim).await {
                Ok((head, rest)) => Ok((head, AnswerBody::http1(http1::AnswerBody::new(rest), pool))),
                Err(http1::Failure { error, unsent }) => Err(Failure { error, unacted: unsent, stale: reused }),
            },
            // In boxes: they are the rarer protocols, and would make the future of every request larger.
            Self::Http2(lease) => {
                let reused = lease.is_reused();
                let answered = Box::pin(http2::exchange(lease, head, body, interim)).await;
                shared_answer(answered, reused, AnswerBody::http2)
            }
            Self::Http3(lease) => {
                let reused = lease.is_reused();
                let answered = Box::pin(http3::exchange(lease, head, body, interim)).await;
                shared_answer(answered, reused, AnswerBody::http3)
            }
        }
    }
}

/// What came of a request on a connection that carries many; `reused` when others have been on it before.
fn shared_answer<B>(
    answered: Result<(ResponseHead, B), shared::Failure>,
    reused: bool,
    body: impl Fn(B) -> AnswerBody,
) -> Result<(ResponseHead, AnswerBody), Failure> {
    match answered {
        Ok((head, answer)) => Ok((head, body(answer))),
        Err(shared::Failure { error, unacted, lost_connection }) => {
            Err(Failure { error, unacted, stale: reused && lost_connection })
        }
    }
}
