use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;
use http::header::RETRY_AFTER;
use plimsoll_fields::{Fields, RequestHead, ResponseHead};
use plimsoll_resilience::{self as resilience, Failed, Failure, Policy};

use super::affinity::Affine;
use super::cluster::Cluster;
use super::context::Context;
use super::deadline::Deadline;
use super::early_data;
use super::exchange::Exchange;
use super::headers;
use super::hedging::Hedging;
use super::link::Link;
use super::picked::{Claim, Picked, Wanted};
use super::sent::{Sending, Sent, Tried, failure_of, note_failure};
use super::shown::Shown;
use super::upgrade::Upgrade;
use crate::downstream::{Body, ClientBody};
use crate::error::{Error, ErrorKind};
use crate::snapshot::Retrying;
use crate::telemetry::{ConnectResult, RetryReason};
use crate::timer::Timer;
use crate::upstream::{AttemptError, InFlight, Introduction, Patience, UploadState};

/// How a request goes on to a cluster.
pub(super) struct Forwarding {
    pub(super) cluster: Rc<Cluster>,
    /// From now to the head of the answer.
    pub(super) timeout: Option<Duration>,
    /// In a box: it is rare.
    pub(super) deadline: Option<Box<Deadline>>,
    pub(super) first_byte_timeout: Option<Duration>,
    pub(super) max_attempts: usize,
    /// The route's own; otherwise the cluster's holds.
    pub(super) policy: Option<Box<Policy>>,
    pub(super) affinity: Affine,
    pub(super) key: Option<u64>,
    pub(super) shown: Shown,
    pub(super) upgrade: Option<Rc<Upgrade>>,
    /// What a connection to an endpoint begins with.
    pub(super) introduction: Introduction,
    pub(super) by_fallback: bool,
}

/// The attempts of one request.
pub(super) struct Attempts<'a> {
    pub(super) context: &'a Context,
    pub(super) cluster: &'a Rc<Cluster>,
    pub(super) wanted: &'a Forwarding,
    /// The endpoint that the client is bound to. If it fails, the client goes where others go.
    pub(super) bound: Option<Picked>,
    pub(super) link: &'a dyn Link,
}

/// What follows an attempt that has failed.
enum Next {
    /// Another, with its part of the budget.
    Again(Option<Retrying>),
    End(Box<Result<Tried, Error>>),
}

impl<'a> Attempts<'a> {
    /// Tries until an endpoint answers, or until no other attempt may follow.
    pub(super) async fn run(
        mut self,
        account: &mut Exchange,
        head: &mut RequestHead,
        body: ClientBody,
    ) -> Result<Tried, Error> {
        let timer = Rc::new(self.context.timers.timer());
        let upload = self.upload(account, body, &timer)?;
        let policy = self.policy();
        let idempotent = is_idempotent(&head.method);
        let mut attempts = resilience::Attempts::new(self.wanted.max_attempts, idempotent);
        let mut retrying: Option<Retrying> = None;
        let link = self.link;
        let pass_on = |mut head: ResponseHead| {
            headers::prepare_response(&mut head);
            link.informational(head);
        };
        loop {
            let (picked, flight) = self.claim(attempts.tried()).await?;
            account.attempted(&picked);
            if let Some(deadline) = &self.wanted.deadline {
                deadline.tell(&mut head.headers);
            }
            let is_replayable = || upload.as_ref().is_none_or(|upload| upload.is_replayable());
            let sending = Sending {
                timers: &self.context.timers,
                upload: upload.as_ref(),
                repeatable: idempotent || policy.non_idempotent,
                may_leave: attempts.may_leave(policy) && is_replayable(),
                upgrades: self.wanted.upgrade.is_some(),
                introduction: &self.wanted.introduction,
                first_byte_timeout: self.wanted.first_byte_timeout,
                interim: &pass_on,
            };
            let Sent { picked, flight, started, result } =
                match attempts.hedge_after(policy).filter(|_| self.wanted.upgrade.is_none()) {
                    // In a box: it is rare, and would make the future of every request larger.
                    Some(after) => {
                        let (context, cluster, wanted) = (self.context, self.cluster, self.wanted);
                        let (key, shown, deadline) = (wanted.key, &wanted.shown, wanted.deadline.as_deref());
                        let hedging = Hedging {
                            context,
                            cluster,
                            key,
                            shown,
                            deadline,
                            policy,
                            attempts: &mut attempts,
                            account,
                            sending,
                            after,
                        };
                        Box::pin(hedging.run(head, (picked, flight), &timer)).await
                    }
                    None => {
                        let started = Instant::now();
                        let result = sending.attempt(&picked, head, &timer, started).send(&pass_on).await;
                        Sent { picked, flight, started, result }
                    }
                };
            drop(retrying.take());
            let slot = picked.endpoint.endpoint.slot;
            let (failure, asked, end) = match result {
                Ok(answer) => {
                    let connected = if answer.reused { ConnectResult::Reused } else { ConnectResult::New };
                    self.cluster.shard.connect(connected);
                    let failure = early_data::failure_of(account, answer.head.status)
                        .or_else(|| failure_of(policy, account.is_call, &answer));
                    if failure.is_none()
                        && let Some(upload) = &upload
                    {
                        upload.settle();
                    }
                    let asked = failure.and_then(|_| retry_after(&answer.head.headers));
                    (failure, asked, Ok(Tried { picked, flight, answer, upload: upload.clone(), started }))
                }
                Err(failed) => {
                    let kind = upload.as_ref().map_or(failed.error.kind, |upload| upload.blame(failed.error.kind));
                    note_failure(self.context, self.cluster, &picked, kind, started);
                    (failure_of_attempt(&failed, kind), None, Err(failed.error.blamed(kind)))
                }
            };
            let Some(failure) = failure else { return end };
            let failed = Failed { slot, failure, replayable: is_replayable(), asked };
            // In a box: it is rare, and would make the future of every request larger.
            match Box::pin(self.follow(&mut attempts, failed, end, account, head)).await {
                Next::Again(with) => retrying = with,
                Next::End(end) => return *end,
            }
        }
    }

    fn policy(&self) -> &'a Policy {
        let Self { wanted, cluster, .. } = *self;
        wanted.policy.as_deref().unwrap_or(&cluster.config.retries.policy)
    }

    fn upload(
        &self,
        account: &Exchange,
        body: ClientBody,
        timer: &Rc<Timer>,
    ) -> Result<Option<Rc<UploadState>>, ErrorKind> {
        if body.is_ended() {
            return Ok(None);
        }
        let patience = Patience { send: self.cluster.config.timeouts.send, first_byte: self.wanted.first_byte_timeout };
        let limit = account.listener.config.limits.body_bytes;
        UploadState::new(body, limit, self.cluster.config.retries.body_bytes, timer.clone(), patience).map(Some)
    }

    /// An endpoint for the next attempt, which begins there.
    async fn claim(&mut self, tried: &[u32]) -> Result<(Picked, InFlight), ErrorKind> {
        let wanted = Wanted { bound: self.bound.take(), key: self.wanted.key, shown: &self.wanted.shown, tried };
        match self.cluster.claim(&wanted) {
            Claim::Begun(begun) => Ok(begun),
            // In a box: it is rare, and would make the future of every request larger.
            Claim::Full => {
                self.link.queued(true);
                let begun = Box::pin(self.cluster.wait(self.context, wanted)).await;
                self.link.queued(false);
                begun
            }
            Claim::Nowhere => Err(ErrorKind::NoEndpoint),
        }
    }

    /// An attempt has failed, with an error or with an answer that is not wanted: waits until another may follow, or says how
    /// the request ends.
    async fn follow(
        &self,
        attempts: &mut resilience::Attempts,
        failed: Failed,
        end: Result<Tried, Error>,
        account: &mut Exchange,
        head: &mut RequestHead,
    ) -> Next {
        let was_early = |tried: &Tried| early_data::failure_of(account, tried.answer.head.status).is_some();
        if end.as_ref().is_ok_and(was_early) {
            if let Ok(tried) = end {
                tried.discard(self.context, self.cluster);
            }
            self.cluster.shard.retry(RetryReason::Status);
            return match early_data::wait(self.link, account, head).await {
                Ok(()) => Next::Again(None),
                Err(kind) => Next::End(Box::new(Err(kind.into()))),
            };
        }
        let policy = self.policy();
        let Some(again) = attempts.failed(policy, failed, || self.cluster.next_random()) else {
            return Next::End(Box::new(end));
        };
        if again.elsewhere && !self.cluster.has_other(attempts.tried()) {
            return Next::End(Box::new(end));
        }
        let mut retrying = None;
        if again.repeats {
            retrying = self.in_budget(policy).await;
            if retrying.is_none() {
                self.cluster.shard.retry_overflow();
                account.retry_overflowed();
                return Next::End(Box::new(end));
            }
        }
        if let Ok(tried) = end {
            tried.discard(self.context, self.cluster);
        }
        self.cluster.shard.retry(reason(failed.failure));
        if !again.after.is_zero() {
            tokio::time::sleep(again.after).await;
        }
        Next::Again(retrying)
    }

    /// A part of the budget, waited for as long as a request may wait for room: many that have to leave an endpoint at once go
    /// on one after the other.
    async fn in_budget(&self, policy: &Policy) -> Option<Retrying> {
        let began = Instant::now();
        let mut waits = 0;
        loop {
            if let Some(retrying) = self.cluster.begin_retry() {
                return Some(retrying);
            }
            let pause = policy.backoff.pause(waits, self.cluster.next_random()).max(Duration::from_millis(1));
            if began.elapsed() + pause > self.cluster.config.queue.timeout {
                return None;
            }
            tokio::time::sleep(pause).await;
            waits += 1;
        }
    }
}

/// Methods that may be sent twice (RFC 9110 section 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

fn failure_of_attempt(failed: &AttemptError, kind: ErrorKind) -> Option<Failure> {
    match kind.failure() {
        Some(Failure::Connect) => Some(Failure::Connect),
        _ if failed.unacted => Some(Failure::Refused),
        failure => failure,
    }
}

/// How long an endpoint asks to be left alone, in seconds or up to a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &Fields) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

fn reason(failure: Failure) -> RetryReason {
    match failure {
        Failure::Connect => RetryReason::ConnectFailure,
        Failure::Refused => RetryReason::RefusedStream,
        Failure::Reset => RetryReason::Reset,
        Failure::Timeout => RetryReason::Timeout,
        Failure::Malformed => RetryReason::Malformed,
        Failure::Status(_) => RetryReason::Status,
        Failure::Grpc(_) => RetryReason::GrpcStatus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_10_2_3_a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let asked = |text: &str| retry_after(&[(RETRY_AFTER, text.parse().expect("a value"))].into_iter().collect());
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(asked(&later).is_some_and(|asked| asked > Duration::from_secs(90) && asked.as_secs() <= 100));
        for text in ["", "-1", "soon", "1.5"] {
            assert_eq!(asked(text), None, "{text}");
        }
    }
}
