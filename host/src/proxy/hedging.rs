use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use plimsoll_fields::RequestHead;
use plimsoll_resilience::{self as resilience, Policy};

use super::cluster::Cluster;
use super::context::Context;
use super::deadline::Deadline;
use super::exchange::Exchange;
use super::picked::{Claim, Picked, Wanted};
use super::sent::{Sending, Sent, Tried, failure_of, note_failure};
use super::shown::Shown;
use crate::snapshot::Retrying;
use crate::telemetry::HedgeResult;
use crate::timer::Timer;
use crate::upstream::{InFlight, UploadState};

/// Attempts of one request side by side: one that is late goes on while another begins. The first answer counts.
pub(super) struct Hedging<'a> {
    pub(super) context: &'a Context,
    pub(super) cluster: &'a Rc<Cluster>,
    pub(super) key: Option<u64>,
    pub(super) shown: &'a Shown,
    pub(super) deadline: Option<&'a Deadline>,
    pub(super) policy: &'a Policy,
    pub(super) attempts: &'a mut resilience::Attempts,
    pub(super) account: &'a mut Exchange,
    pub(super) sending: Sending<'a>,
    /// How late an attempt has to be.
    pub(super) after: Duration,
}

/// An attempt under way. Dropped, it is given up: its connection is closed, or its stream reset.
struct UnderWay<'a> {
    sent: Pin<Box<dyn Future<Output = Sent> + 'a>>,
    is_hedge: bool,
    /// Its part of the budget.
    _retrying: Option<Retrying>,
}

impl<'a> Hedging<'a> {
    /// Makes the attempt that has been claimed, and others beside it as long as none is answered. Answers the one whose answer
    /// counts, or the last that has failed.
    pub(super) async fn run(mut self, head: &'a RequestHead, first: (Picked, InFlight), timer: &'a Rc<Timer>) -> Sent {
        let mut latest = first.0.endpoint.endpoint.slot;
        let sending = self.sending;
        let mut under_way =
            vec![UnderWay { sent: Box::pin(send(sending, first, head, timer)), is_hedge: false, _retrying: None }];
        let late = self.context.timers.timer();
        late.arm(self.after);
        loop {
            match next(&mut under_way, &late).await {
                None => {
                    late.disarm();
                    // What is still to come of a body cannot go to two.
                    let is_coming = |upload: &&Rc<UploadState>| upload.is_replayable() && !upload.is_shareable();
                    if self.sending.upload.filter(is_coming).is_some() {
                        late.arm(self.after);
                    } else if let Some((slot, another)) = self.another(head, latest) {
                        latest = slot;
                        under_way.push(another);
                        late.arm(self.after);
                    }
                }
                Some((at, sent)) => {
                    let ended = under_way.swap_remove(at);
                    if under_way.is_empty() || !self.has_failed(&sent) {
                        return self.settle(sent, &ended, &under_way);
                    }
                    self.account_for(sent, &ended);
                }
            }
        }
    }

    /// Another attempt beside the latest, if one may begin.
    fn another(&mut self, head: &'a RequestHead, latest: u32) -> Option<(u32, UnderWay<'a>)> {
        self.attempts.hedge_after(self.policy)?;
        if self.sending.upload.is_some_and(|upload| !upload.is_shareable()) {
            return None;
        }
        self.attempts.goes_on(latest);
        let begun = self.begin();
        let Some((picked, flight, retrying)) = begun else {
            self.cluster.shard.hedge(HedgeResult::Refused);
            return None;
        };
        self.attempts.begun_beside();
        self.account.hedged(&picked);
        let (slot, sending) = (picked.endpoint.endpoint.slot, self.sending);
        let (deadline, timers) = (self.deadline, &self.context.timers);
        let sent = async move {
            let (mut head, timer) = (head.clone(), timers.timer());
            if let Some(deadline) = deadline {
                deadline.tell(&mut head.headers);
            }
            send(sending, (picked, flight), &head, &timer).await
        };
        Some((slot, UnderWay { sent: Box::pin(sent), is_hedge: true, _retrying: Some(retrying) }))
    }

    /// An endpoint that has room and no attempt of this request, and a part of the budget.
    fn begin(&self) -> Option<(Picked, InFlight, Retrying)> {
        let tried = self.attempts.tried();
        let cluster = self.cluster;
        if !cluster.has_other(tried) {
            return None;
        }
        let retrying = cluster.begin_retry()?;
        let wanted = Wanted { bound: None, key: self.key, shown: self.shown, tried };
        let Claim::Begun((picked, flight)) = cluster.claim(&wanted) else { return None };
        let is_other = !tried.contains(&picked.endpoint.endpoint.slot);
        is_other.then_some((picked, flight, retrying))
    }

    fn has_failed(&self, sent: &Sent) -> bool {
        match &sent.result {
            Ok(answer) => failure_of(self.policy, self.account.is_call, answer).is_some(),
            Err(_) => true,
        }
    }

    /// Takes note of an attempt that has failed while another goes on.
    fn account_for(&mut self, sent: Sent, ended: &UnderWay<'_>) {
        let Sent { picked, flight, started, result } = sent;
        self.attempts.failed_beside(picked.endpoint.endpoint.slot);
        if ended.is_hedge {
            self.cluster.shard.hedge(HedgeResult::Lost);
        }
        match result {
            Ok(answer) => Tried { picked, flight, answer, upload: None, started }.discard(self.context, self.cluster),
            Err(failed) => note_failure(self.context, self.cluster, &picked, failed.error.kind, started),
        }
    }

    fn settle(&mut self, sent: Sent, ended: &UnderWay<'_>, given_up: &[UnderWay<'_>]) -> Sent {
        self.account.settled(&sent.picked);
        let shard = &self.cluster.shard;
        if ended.is_hedge {
            shard.hedge(if sent.result.is_ok() { HedgeResult::Won } else { HedgeResult::Lost });
        }
        given_up.iter().filter(|given_up| given_up.is_hedge).for_each(|_| shard.hedge(HedgeResult::Lost));
        sent
    }
}

async fn send(sending: Sending<'_>, (picked, flight): (Picked, InFlight), head: &RequestHead, timer: &Timer) -> Sent {
    let started = Instant::now();
    let result = sending.attempt(&picked, head, timer, started).send(sending.interim).await;
    Sent { picked, flight, started, result }
}

/// Waits until one of these has ended, and answers which; none when they are late.
async fn next(under_way: &mut [UnderWay<'_>], late: &Timer) -> Option<(usize, Sent)> {
    poll_fn(|task| {
        for (at, one) in under_way.iter_mut().enumerate() {
            if let Poll::Ready(sent) = one.sent.as_mut().poll(task) {
                return Poll::Ready(Some((at, sent)));
            }
        }
        late.poll_fired(task).map(|()| None)
    })
    .await
}
