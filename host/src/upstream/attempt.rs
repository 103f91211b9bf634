use std::time::{Duration, Instant};

use http::request;
use http::response;

use super::answer_body::AnswerBody;
use super::endpoint::LocalEndpoint;
use super::lease::{Failure, Lease};
use super::request_body::RequestBody;
use crate::error::{Error, ErrorKind};
use crate::timer::{Timer, Timers};

/// One try of a request at one endpoint, up to the head of its answer.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub endpoint: &'a LocalEndpoint,
    pub timers: &'a Timers,
    /// Armed while the endpoint is waited for.
    pub timer: &'a Timer,
    pub head: &'a request::Parts,
    /// The request has no body, and sending it twice does no harm.
    pub repeatable: bool,
    /// It asks for another protocol.
    pub upgrades: bool,
    /// What a connection begins with that is made for it.
    pub announcement: &'a [u8],
    pub first_byte_timeout: Option<Duration>,
    pub started: Instant,
}

/// An answer, of which the body is still coming.
#[derive(Debug)]
pub struct Answer {
    pub head: response::Parts,
    pub body: AnswerBody,
    pub reused: bool,
    pub first_byte: Duration,
}

/// A failed attempt.
#[derive(Debug)]
pub struct AttemptError {
    pub error: Error,
    /// The body, when no byte of the request was sent: it may be tried elsewhere, whatever it asks for.
    pub unsent: Option<RequestBody>,
    /// It failed with a connection that others have used before, which the endpoint may just have closed.
    stale: bool,
}

impl Attempt<'_> {
    /// Sends the request on a connection that is there or on a new one. One that turns out closed before anything was sent
    /// is replaced by another. One that closes while the request is under way is the endpoint's right too: if the request
    /// is repeatable, it is sent once more, on a new connection. What the endpoint answers in advance (1xx) goes to
    /// `interim`.
    pub async fn send(&self, mut body: RequestBody, interim: &dyn Fn(response::Parts)) -> Result<Answer, AttemptError> {
        let mut kept_allowed = true;
        loop {
            let kept = kept_allowed.then(|| self.endpoint.pool.take(self.upgrades)).flatten();
            let lease = match kept {
                Some(lease) => lease,
                // In a box: it is rare, and would make the future of every request larger.
                None => match Box::pin(self.endpoint.pool.connect(self.upgrades, self.announcement, self.timers)).await
                {
                    Ok(lease) => lease,
                    Err(error) => return Err(AttemptError { error, unsent: Some(body), stale: false }),
                },
            };
            match self.send_on(lease, body, interim).await {
                Err(AttemptError { unsent: Some(unsent), stale: true, .. }) => body = unsent,
                Err(failed) if failed.stale && failed.error.kind == ErrorKind::UpstreamReset && self.repeatable => {
                    kept_allowed = false;
                    body = RequestBody::empty();
                }
                result => return result,
            }
        }
    }

    async fn send_on(
        &self,
        lease: Lease,
        body: RequestBody,
        interim: &dyn Fn(response::Parts),
    ) -> Result<Answer, AttemptError> {
        match self.first_byte_timeout {
            Some(timeout) => self.timer.arm(timeout),
            None => self.timer.disarm(),
        }
        let reused = lease.is_reused();
        let answered = self.timer.bound(lease.exchange(self.head, body, interim)).await;
        self.timer.disarm();
        match answered {
            Ok(Ok((head, body))) => Ok(Answer { head, body, reused, first_byte: self.started.elapsed() }),
            Ok(Err(Failure { error, unsent, stale })) => Err(AttemptError { error, unsent, stale }),
            Err(_elapsed) => {
                Err(AttemptError { error: ErrorKind::FirstByteTimeout.into(), unsent: None, stale: false })
            }
        }
    }
}
