use std::rc::Rc;

use http::{request, response};

use super::answer_body::AnswerBody;
use super::exclusive::ExclusivePool;
use super::http1;
use super::http2;
use super::request_body::RequestBody;
use crate::error::Error;

/// A request's right to a connection: to the whole of it (HTTP/1.1), or to a place on it (HTTP/2). It gives itself back,
/// here or at the end of the answer that comes of it.
#[derive(Debug)]
pub(super) enum Lease {
    Exclusive { connection: Box<http1::Connection>, pool: Rc<ExclusivePool>, reused: bool },
    Shared(http2::Lease),
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

    /// Whether others have used the connection before.
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Self::Exclusive { reused, .. } => *reused,
            Self::Shared(lease) => lease.is_reused(),
        }
    }

    /// Sends a request in the form of the connection's protocol, and waits for the head of its answer; heads of answers in
    /// advance go to `interim`.
    pub(super) async fn exchange(
        self,
        head: &request::Parts,
        body: RequestBody,
        interim: &dyn Fn(response::Parts),
    ) -> Result<(response::Parts, AnswerBody), Failure> {
        match self {
            Self::Exclusive { connection, pool, reused } => match connection.exchange(head, body, interim).await {
                Ok((head, body)) => Ok((head, AnswerBody::http1(body, pool))),
                Err(http1::Failure { error, unsent }) => Err(Failure { error, unacted: unsent, stale: reused }),
            },
            Self::Shared(lease) => {
                let reused = lease.is_reused();
                // In a box: it is the rarer protocol, and would make the future of every request larger.
                match Box::pin(http2::exchange(lease, head, body, interim)).await {
                    Ok((head, body)) => Ok((head, AnswerBody::http2(body))),
                    Err(http2::Failure { error, unacted, lost_connection }) => {
                        Err(Failure { error, unacted, stale: reused && lost_connection })
                    }
                }
            }
        }
    }
}
