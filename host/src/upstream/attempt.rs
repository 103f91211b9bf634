use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll_fields::{RequestHead, ResponseHead};

use super::answer_body::AnswerBody;
use super::dial::Introduction;
use super::endpoint::LocalEndpoint;
use super::lease::{Failure, Lease};
use super::request_body::RequestBody;
use super::upload_state::UploadState;
use crate::error::{Error, ErrorKind};
use crate::timer::{CallOff, Fired, Timer, Timers};

/// One try of a request at one endpoint, up to the head of its answer.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub endpoint: &'a LocalEndpoint,
    pub timers: &'a Timers,
    /// Armed while the endpoint is waited for.
    pub timer: &'a Timer,
    pub head: &'a RequestHead,
    /// None without a body.
    pub upload: Option<&'a Rc<UploadState>>,
    /// Sending it twice does no harm.
    pub repeatable: bool,
    /// Another endpoint may have it as soon as this one is found unhealthy.
    pub may_leave: bool,
    /// It asks for another protocol.
    pub upgrades: bool,
    /// What a connection begins with that is made for it.
    pub introduction: &'a Introduction,
    pub first_byte_timeout: Option<Duration>,
    pub started: Instant,
}

/// An answer, of which the body is still coming.
#[derive(Debug)]
pub struct Answer {
    pub head: ResponseHead,
    pub body: AnswerBody,
    pub reused: bool,
    pub first_byte: Duration,
}

/// A failed attempt.
#[derive(Debug)]
pub struct AttemptError {
    pub error: Error,
    /// The endpoint has acted on nothing of the request.
    pub unacted: bool,
    /// It failed with a connection that others have used before, which the endpoint may just have closed.
    stale: bool,
}

impl Attempt<'_> {
    /// Sends the request on a connection that is there or on a new one. One that turns out closed before anything was sent
    /// is replaced by another. One that closes while the request is under way is the endpoint's right too: if the request
    /// is repeatable, it is sent once more, on a new connection. What the endpoint answers in advance (1xx) goes to
    /// `interim`.
    pub async fn send(&self, interim: &dyn Fn(ResponseHead)) -> Result<Answer, AttemptError> {
        let mut kept_allowed = true;
        loop {
            let kept = kept_allowed.then(|| self.endpoint.pool.take(self.upgrades)).flatten();
            let lease = match kept {
                Some(lease) => lease,
                // In a box: it is rare, and would make the future of every request larger.
                None => match Box::pin(self.connect()).await {
                    Ok(lease) => lease,
                    Err(error) => return Err(AttemptError { error, unacted: true, stale: false }),
                },
            };
            match self.send_on(lease, interim).await {
                Err(failed) if failed.stale && self.is_replayable() => {
                    if !failed.unacted {
                        if failed.error.kind != ErrorKind::UpstreamReset || !self.repeatable {
                            return Err(failed);
                        }
                        kept_allowed = false;
                    }
                }
                result => return result,
            }
        }
    }

    fn is_replayable(&self) -> bool {
        self.upload.is_none_or(|upload| upload.is_replayable())
    }

    async fn connect(&self) -> Result<Lease, Error> {
        self.wait_for_endpoint(None);
        let connecting = self.endpoint.pool.connect(self.upgrades, self.introduction, self.timers);
        self.timer.bound(connecting).await.unwrap_or_else(|_called_off| {
            Err(match self.timer.fired() {
                Some(Fired::CalledOff(call)) => called_off(call),
                _ => ErrorKind::FoundUnhealthy,
            }
            .into())
        })
    }

    async fn send_on(&self, lease: Lease, interim: &dyn Fn(ResponseHead)) -> Result<Answer, AttemptError> {
        self.wait_for_endpoint(self.first_byte_timeout);
        let reused = lease.is_reused();
        let body = self.upload.map_or_else(RequestBody::empty, RequestBody::of);
        let answered = self.timer.bound(lease.exchange(self.head, body, interim)).await;
        let fired = self.timer.fired();
        self.timer.disarm();
        match answered {
            Ok(Ok((head, body))) => Ok(Answer { head, body, reused, first_byte: self.started.elapsed() }),
            Ok(Err(Failure { error, unacted, stale })) => Err(AttemptError { error, unacted, stale }),
            Err(_elapsed) => {
                let kind = match fired {
                    Some(Fired::CalledOff(call)) => called_off(call),
                    _ => ErrorKind::FirstByteTimeout,
                };
                Err(AttemptError { error: kind.into(), unacted: false, stale: false })
            }
        }
    }

    fn wait_for_endpoint(&self, timeout: Option<Duration>) {
        self.timer.disarm();
        self.timer.arm_or_wait(timeout);
        let hears = if self.may_leave { CallOff::Leave } else { CallOff::End };
        self.timer.wait_for(self.endpoint.subject(), hears);
    }
}

fn called_off(call: CallOff) -> ErrorKind {
    match call {
        CallOff::Leave => ErrorKind::FoundUnhealthy,
        CallOff::End => ErrorKind::Deregistered,
    }
}
