//! What becomes of attempts: how they end, how others follow or begin beside them, and how many may be under way. What is decided
//! is decided by the proxy's own core.

use plimsoll_model::{Outcome, OutcomeClass};
use plimsoll_resilience::{Failed, Failure as Failing};

use crate::proxy::ADAPTED_EVERY_US;
use crate::requests::{Pause, UnderWay};
use crate::results::Failure;
use crate::server::Ticket;
use crate::simulation::{Happening, Simulation};
use crate::workload::Job;

/// The least pause between two looks for a part of the budget, as in the proxy.
const LEAST_PAUSE_US: u64 = 1000;

impl Simulation<'_> {
    pub(crate) fn attempt_ended(&mut self, ticket: Ticket, class: OutcomeClass) {
        // Otherwise it is over already.
        let Some((job, ended)) = self.requests.end(ticket) else { return };
        self.leave(job, &ended, class);
        let place = ticket.request;
        match class {
            OutcomeClass::Success => {
                self.balancer.answered(job.worker, job.asked, ended.slot);
                self.answered(place);
            }
            OutcomeClass::ServerError => {
                self.attempt_failed(place, ended.slot, Failing::Status(ERROR), Failure::Error);
            }
            OutcomeClass::Timeout | OutcomeClass::Reset | OutcomeClass::ClientAbort => {
                self.attempt_failed(place, ended.slot, Failing::Timeout, Failure::Timeout);
            }
            OutcomeClass::ConnectFailure => {
                self.attempt_failed(place, ended.slot, Failing::Connect, Failure::Refused);
            }
        }
    }

    /// An attempt is over for its proxy.
    fn leave(&mut self, job: Job, ended: &UnderWay, class: OutcomeClass) {
        let (now_us, slot) = (self.now_us, ended.slot);
        let total_us = u32::try_from(now_us - ended.began_us).unwrap_or(u32::MAX);
        let proxy = self.proxy(job.worker);
        self.servers[slot as usize].leave(now_us, proxy);
        self.proxies[proxy].end(ended, class, total_us);
        // Answers are heads without bodies here: the first byte is the last.
        let status = status(class);
        let first_byte_us = if status == 0 { 0 } else { total_us };
        let outcome = Outcome { slot, class, status, first_byte_us, total_us };
        self.balancer.set_now_ms(self.now_ms());
        if matches!(class, OutcomeClass::Success | OutcomeClass::ServerError) {
            let report = self.servers[slot as usize].report(now_us, class);
            self.balancer.report_load(job.worker, slot, report);
        }
        self.balancer.end(job.worker, &outcome);
        // Balancers do not hear of what was given up.
        if class != OutcomeClass::ClientAbort {
            self.gather(job.worker, outcome);
        }
        self.room_at(proxy);
    }

    fn attempt_failed(&mut self, place: u32, slot: u32, failure: Failing, why: Failure) {
        let Some(request) = self.requests.get(place) else { return };
        if request.under_way().next().is_some() {
            return request.attempts.failed_beside(slot);
        }
        let failed = Failed { slot, failure, replayable: true, asked: None };
        let policy = &self.scenario.resilience.policy;
        let Some(again) = request.attempts.failed(policy, failed, || self.random.u64(..)) else {
            return self.fail(place, why);
        };
        if again.elsewhere && !self.has_other(place) {
            return self.fail(place, why);
        }
        let after_us = again.after.as_micros() as u64;
        let pause = Pause { wants_part: again.repeats, after_us, since_us: self.now_us, waits: 0, why };
        self.pause(place, pause);
    }

    /// Whether there is an endpoint that has not failed the request, nor works on it.
    fn has_other(&mut self, place: u32) -> bool {
        let Some(request) = self.requests.get(place) else { return false };
        let tried = request.attempts.tried();
        self.cluster.all_open().any(|member| !tried.contains(&member.slot))
    }

    /// A request goes on once it has a part of the budget, if it wants one, and its pause is over.
    fn pause(&mut self, place: u32, mut pause: Pause) {
        let Some(request) = self.requests.get(place) else { return };
        let worker = request.job.worker;
        let proxy = self.proxy(worker);
        let policy = &self.scenario.resilience.policy;
        let mut for_us = pause.after_us;
        if pause.wants_part {
            if self.proxies[proxy].take_part(&policy.budget) {
                pause.wants_part = false;
                if let Some(request) = self.requests.get(place) {
                    request.next.has_part = true;
                }
            } else {
                let wait = policy.backoff.pause(pause.waits, self.random.u64(..));
                for_us = (wait.as_micros() as u64).max(LEAST_PAUSE_US);
                if self.now_us + for_us > pause.since_us + self.scenario.queue_timeout_us {
                    return self.fail(place, pause.why);
                }
                pause.waits += 1;
            }
        }
        if for_us == 0 {
            return self.go(place);
        }
        if let Some(request) = self.requests.get(place) {
            request.next.pause = Some(pause);
        }
        let ticket = self.requests.wait(place);
        self.agenda_at(for_us, Happening::Again { ticket });
    }

    /// A pause is over.
    pub(crate) fn again(&mut self, ticket: Ticket) {
        let Some(request) = self.requests.waiting(ticket) else { return };
        match request.next.pause.take() {
            Some(pause) if pause.wants_part => self.pause(ticket.request, pause),
            _ => self.go(ticket.request),
        }
    }

    /// An attempt is late: another begins beside it, if one may.
    pub(crate) fn late(&mut self, ticket: Ticket) {
        if !self.requests.is_under_way(ticket) {
            return;
        }
        let policy = &self.scenario.resilience.policy;
        let place = ticket.request;
        let Some(request) = self.requests.get(place) else { return };
        let (worker, latest) = (request.job.worker, request.latest_slot());
        if request.attempts.hedge_after(policy).is_none() {
            return;
        }
        latest.into_iter().for_each(|slot| request.attempts.goes_on(slot));
        let proxy = self.proxy(worker);
        if !self.has_other_with_room(place, proxy) || !self.proxies[proxy].take_part(&policy.budget) {
            return;
        }
        if let Some(request) = self.requests.get(place) {
            request.next.has_part = true;
            request.attempts.begun_beside();
        }
        if !self.begins(place) {
            self.give_back_part(place, proxy);
        }
    }

    fn has_other_with_room(&mut self, place: u32, proxy: usize) -> bool {
        let Some(request) = self.requests.get(place) else { return false };
        let (tried, servers) = (request.attempts.tried(), &self.servers);
        self.cluster.all_open().any(|member| {
            let under_way = servers[member.slot as usize].from_proxy[proxy];
            !tried.contains(&member.slot) && (member.max_connections == 0 || under_way < member.max_connections)
        })
    }

    fn give_back_part(&mut self, place: u32, proxy: usize) {
        if let Some(request) = self.requests.get(place)
            && std::mem::take(&mut request.next.has_part)
        {
            self.proxies[proxy].give_back_part();
        }
    }

    fn answered(&mut self, place: u32) {
        let Some(request) = self.requests.remove(place) else { return };
        self.results.answered(request.job.at_us, self.now_us - request.job.at_us);
        // The others are given up.
        for other in request.under_way() {
            self.leave(request.job, other, OutcomeClass::ClientAbort);
        }
    }

    pub(crate) fn fail(&mut self, place: u32, why: Failure) {
        let proxy = self.requests.get(place).map(|request| request.job.worker).map(|worker| self.proxy(worker));
        if let Some(proxy) = proxy {
            self.give_back_part(place, proxy);
        }
        if let Some(request) = self.requests.remove(place) {
            self.results.failed(request.job.at_us, why);
        }
    }

    /// Finds how many attempts may be under way at each proxy by now.
    pub(crate) fn adapt(&mut self) {
        let now = std::time::Duration::from_micros(self.now_us);
        for number in 0..self.proxies.len() {
            if self.proxies[number].adapt(now, || self.random.u64(..)) {
                self.room_at(number);
            }
        }
        if self.now_us < self.span.duration_us {
            self.agenda_at(ADAPTED_EVERY_US, Happening::Adapt);
        }
    }
}

/// What an endpoint that answers errors answers.
pub const ERROR: u16 = 503;

/// 0 where there was no answer.
fn status(class: OutcomeClass) -> u16 {
    match class {
        OutcomeClass::Success => 200,
        OutcomeClass::ServerError => ERROR,
        _ => 0,
    }
}
