//! The story of a run: requests come, the balancer chooses, endpoints work, proxies hear of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use plimsoll_model::{Outcome, OutcomeClass};
use plimsoll_resilience::Attempts;

use crate::balancer::Balancer;
use crate::cluster::Cluster;
use crate::evaluator::{Evaluator, Opinion};
use crate::keys::{KeyProbe, Revisits};
use crate::measure::Span;
use crate::numbers::mix;
use crate::proxy::{ADAPTED_EVERY_US, Proxy};
use crate::requests::{MOST_UNDER_WAY, Requests};
use crate::results::{Failure, Measured, Results};
use crate::scenario::{Keys, Scenario, What};
use crate::server::{Reception, Server, Ticket};
use crate::workload::{Job, Workload};

/// Outcomes that are told at once at the most, and how long they are gathered: as in the proxy.
pub const BATCH: usize = 1024;
const GATHERED_FOR_US: u64 = 20_000;

/// What the clock of the plugins says when a run begins.
const BEGINNING_MS: u64 = 1_000_000;

/// One balancer in a scenario.
pub(crate) struct Simulation<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) balancer: Box<dyn Balancer>,
    wants_outcomes: bool,
    evaluator: Option<Box<dyn Evaluator>>,
    probe: Option<KeyProbe>,
    revisits: Revisits,
    pub(crate) span: Span,
    pub(crate) now_us: u64,
    agenda: Agenda,
    /// Attempts in the order in which they time out.
    timeouts: VecDeque<(u64, Ticket)>,
    pub(crate) requests: Requests,
    pub(crate) servers: Vec<Server>,
    pub(crate) cluster: Cluster,
    pub(crate) workers: Vec<Worker>,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) results: Results,
    pub(crate) random: fastrand::Rng,
}

#[derive(Debug, Default)]
pub(crate) struct Worker {
    batch: Vec<Outcome>,
    /// Requests that found every endpoint full.
    pub(crate) waiting: VecDeque<Ticket>,
}

/// What is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    /// An endpoint has done what an attempt asked of it.
    Done { slot: u32, ticket: Ticket },
    /// Its answer has come from another zone.
    Answered { ticket: Ticket },
    /// An endpoint ends an attempt without having worked on it.
    Ends { ticket: Ticket, refused: bool },
    /// A worker tells its balancer what it has gathered.
    Tell { worker: u32 },
    /// A request has waited for room long enough.
    WaitIsOver { ticket: Ticket },
    /// A request has paused between two attempts.
    Again { ticket: Ticket },
    /// An attempt has had no answer for long.
    Late { ticket: Ticket },
    /// Proxies find how many attempts may be under way.
    Adapt,
    /// The evaluator looks at the clock.
    Tick,
    /// The event of this number.
    Event { number: u32 },
    /// Proxies notice whether an endpoint works.
    Notice { slot: u32, works: bool },
    /// An endpoint warms up further.
    Ramp { slot: u32 },
}

#[derive(Debug, Default)]
struct Agenda {
    heap: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    count: u64,
}

impl Agenda {
    fn at(&mut self, us: u64, happening: Happening) {
        // What was planned first happens first.
        self.count += 1;
        self.heap.push(Reverse((us, self.count, happening)));
    }
}

/// Plays a scenario with the balancer that `make` makes; it is asked for a second one where keys are followed. `evaluator` ejects
/// endpoints as far as the scenario's [`Resilience`](crate::Resilience) lets it, of one proxy. `progress` is told the share that
/// is done, some hundred times.
pub fn run(
    scenario: &Scenario,
    make: &mut dyn FnMut() -> Result<Box<dyn Balancer>, String>,
    evaluator: Option<Box<dyn Evaluator>>,
    progress: &mut dyn FnMut(f64),
) -> Result<Measured, String> {
    let probe = if scenario.keys == Keys::None { None } else { Some(KeyProbe::new(make()?)) };
    let mut simulation = Simulation::new(scenario, make()?, evaluator, probe);
    let mut slice = 0;
    for job in Workload::new(scenario) {
        if simulation.span.slice(job.at_us) > slice {
            slice = simulation.span.slice(job.at_us);
            progress(job.at_us as f64 / scenario.duration_us as f64);
        }
        simulation.advance(job.at_us);
        simulation.arrive(job);
    }
    // What is under way ends or times out.
    simulation.advance(u64::MAX);
    Ok(simulation.finish())
}

impl<'a> Simulation<'a> {
    fn new(
        scenario: &'a Scenario,
        balancer: Box<dyn Balancer>,
        evaluator: Option<Box<dyn Evaluator>>,
        probe: Option<KeyProbe>,
    ) -> Self {
        let span = Span { warm_up_us: scenario.warm_up_us, duration_us: scenario.duration_us };
        let mut simulation = Self {
            wants_outcomes: balancer.wants_outcomes(),
            scenario,
            balancer,
            evaluator,
            probe,
            revisits: Revisits::default(),
            span,
            now_us: 0,
            agenda: Agenda::default(),
            timeouts: VecDeque::new(),
            requests: Requests::default(),
            servers: scenario.endpoints.iter().map(|of| Server::new(of, scenario, span)).collect(),
            cluster: Cluster::new(scenario),
            workers: (0..scenario.workers * scenario.proxies).map(|_| Worker::default()).collect(),
            proxies: (0..scenario.proxies).map(|_| Proxy::new(scenario.resilience.concurrency)).collect(),
            results: Results::new(span),
            random: fastrand::Rng::with_seed(mix(scenario.seed ^ mix(5))),
        };
        for (number, event) in (0..).zip(&scenario.events) {
            simulation.agenda.at(event.at_us, Happening::Event { number });
        }
        if scenario.resilience.concurrency.is_some() {
            simulation.agenda.at(ADAPTED_EVERY_US, Happening::Adapt);
        }
        simulation.tell_endpoints(None);
        simulation.plan_tick();
        simulation
    }

    pub(crate) fn now_ms(&self) -> u64 {
        BEGINNING_MS + self.now_us / 1000
    }

    pub(crate) fn proxy(&self, worker: u32) -> usize {
        (worker / self.scenario.workers) as usize
    }

    /// Lets everything happen until a time.
    fn advance(&mut self, until_us: u64) {
        loop {
            let happening = self.agenda.heap.peek().map(|Reverse((at_us, ..))| *at_us);
            let timeout = self.timeouts.front().map(|(at_us, _)| *at_us);
            let next = match (happening, timeout) {
                (Some(one), Some(other)) => one.min(other),
                (Some(at_us), None) | (None, Some(at_us)) => at_us,
                (None, None) => break,
            };
            if next > until_us {
                break;
            }
            self.now_us = next;
            if happening == Some(next) {
                if let Some(Reverse((_, _, happening))) = self.agenda.heap.pop() {
                    self.happen(happening);
                }
            } else if let Some((_, ticket)) = self.timeouts.pop_front() {
                self.attempt_ended(ticket, OutcomeClass::Timeout);
            }
        }
        self.now_us = self.now_us.max(if until_us == u64::MAX { 0 } else { until_us });
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Done { slot, ticket } => {
                self.servers[slot as usize].done(self.now_us);
                match self.far_us(slot, ticket) {
                    0 => self.attempt_ended(ticket, OutcomeClass::Success),
                    us => self.agenda_at(us, Happening::Answered { ticket }),
                }
                self.next_at(slot);
            }
            Happening::Answered { ticket } => self.attempt_ended(ticket, OutcomeClass::Success),
            Happening::Ends { ticket, refused } => {
                self.attempt_ended(
                    ticket,
                    if refused { OutcomeClass::ConnectFailure } else { OutcomeClass::ServerError },
                );
            }
            Happening::Tell { worker } => self.tell_outcomes(worker),
            Happening::WaitIsOver { ticket } => self.stop_waiting(ticket),
            Happening::Again { ticket } => self.again(ticket),
            Happening::Late { ticket } => self.late(ticket),
            Happening::Adapt => self.adapt(),
            Happening::Tick => self.tick(),
            Happening::Event { number } => self.event(number),
            Happening::Notice { slot, works } => self.notice(slot, works),
            Happening::Ramp { slot } => {
                if let Some(next_us) = self.cluster.step_ramp(self.now_us, slot) {
                    self.agenda.at(next_us, Happening::Ramp { slot });
                }
                self.tell_endpoints(None);
            }
        }
    }

    fn arrive(&mut self, job: Job) {
        self.balancer.set_now_ms(self.now_ms());
        let attempts = Attempts::new(self.scenario.max_attempts as usize, self.scenario.resilience.idempotent);
        let bound = self.balancer.bound(job.worker, job.asked);
        match self.requests.add(job, attempts, bound) {
            Some(place) => self.go(place),
            None => self.results.failed(job.at_us, Failure::Overflow),
        }
    }

    /// Begins an attempt at an endpoint.
    pub(crate) fn begin(&mut self, place: u32, slot: u32) {
        let now_us = self.now_us;
        let Some(ticket) = self.requests.begin(place, slot, now_us) else { return };
        let Some(request) = self.requests.get(place) else { return };
        let job = request.job;
        if let Some(after) = request.attempts.hedge_after(&self.scenario.resilience.policy) {
            self.agenda.at(now_us.saturating_add(after.as_micros() as u64), Happening::Late { ticket });
        }
        let is_counted = self.span.is_counted(now_us);
        if is_counted {
            self.servers[slot as usize].attempts += 1;
            self.cluster.count_request();
        }
        if let Some(key) = job.asked.key {
            self.revisits.visit(key, slot, is_counted);
        }
        self.balancer.begin(job.worker, slot);
        let proxy = self.proxy(job.worker);
        if is_counted && self.scenario.is_far(proxy, slot) {
            self.results.far += 1;
        }
        let demand_us = self.demand_us(job, slot, is_counted);
        self.proxies[proxy].begin();
        let after = |us: u64| now_us.saturating_add(us);
        match self.servers[slot as usize].receive(now_us, proxy, ticket, demand_us) {
            Reception::Begins { us } => self.agenda.at(after(us), Happening::Done { slot, ticket }),
            Reception::Ends { class, after_us } => {
                let refused = class == OutcomeClass::ConnectFailure;
                self.agenda.at(after(after_us), Happening::Ends { ticket, refused });
            }
            Reception::Queues | Reception::Nothing => {}
        }
        self.timeouts.push_back((after(self.scenario.timeout_us), ticket));
        if self.timeouts.len() > 2 * MOST_UNDER_WAY {
            // Most attempts are over long before.
            let requests = &mut self.requests;
            self.timeouts.retain(|(_, ticket)| requests.is_under_way(*ticket));
        }
    }

    /// How long a request keeps an endpoint of speed 1 busy: longer where that has not what it is about in memory.
    fn demand_us(&mut self, job: Job, slot: u32, is_counted: bool) -> f64 {
        let (Some(memory), Some(key)) = (self.scenario.memory, job.asked.key) else { return job.demand_us };
        let Some(is_there) = self.servers[slot as usize].remembers(key) else { return job.demand_us };
        if is_counted {
            self.results.looked_up += 1;
            self.results.in_memory += u64::from(is_there);
        }
        if is_there { job.demand_us } else { job.demand_us * memory.miss_factor }
    }

    /// How much longer the answer to an attempt is on its way than from an endpoint near by.
    fn far_us(&mut self, slot: u32, ticket: Ticket) -> u64 {
        if self.scenario.other_zone_us == 0 {
            return 0;
        }
        let worker = self.requests.get(ticket.request).map_or(0, |request| request.job.worker);
        if self.scenario.is_far(self.proxy(worker), slot) { self.scenario.other_zone_us } else { 0 }
    }

    /// An endpoint goes on with what waits there.
    fn next_at(&mut self, slot: u32) {
        while let Some((ticket, demand_us)) = self.servers[slot as usize].next_waiting() {
            // Whoever timed out waits no more.
            if !self.scenario.works_on_abandoned && !self.requests.is_under_way(ticket) {
                continue;
            }
            let us = self.servers[slot as usize].begin(self.now_us, demand_us);
            self.agenda.at(self.now_us.saturating_add(us), Happening::Done { slot, ticket });
        }
    }

    /// Notes an outcome for the worker's balancer, which hears of it with others.
    pub(crate) fn gather(&mut self, worker: u32, outcome: Outcome) {
        if !self.wants_outcomes && !self.evaluator.as_ref().is_some_and(|evaluator| evaluator.wants_outcomes()) {
            return;
        }
        let batch = &mut self.workers[worker as usize].batch;
        batch.push(outcome);
        let gathered = batch.len();
        if gathered == 1 {
            // Each worker looks every so often, at times of its own.
            let offset = GATHERED_FOR_US * u64::from(worker) / self.workers.len() as u64;
            let rounds = (self.now_us + GATHERED_FOR_US - offset) / GATHERED_FOR_US;
            self.agenda.at(rounds * GATHERED_FOR_US + offset, Happening::Tell { worker });
        } else if gathered == BATCH {
            self.tell_outcomes(worker);
        }
    }

    fn tell_outcomes(&mut self, worker: u32) {
        let batch = std::mem::take(&mut self.workers[worker as usize].batch);
        if batch.is_empty() {
            return;
        }
        let now_ms = self.now_ms();
        if self.wants_outcomes {
            self.balancer.set_now_ms(now_ms);
            self.balancer.outcomes(worker, &batch);
        }
        if let Some(evaluator) = self.evaluator.as_mut().filter(|evaluator| evaluator.wants_outcomes()) {
            let opinions = evaluator.outcomes(now_ms, &batch);
            self.judge(opinions);
        }
    }

    /// Lets the evaluator look at the clock.
    fn tick(&mut self) {
        let now_ms = self.now_ms();
        if let Some(evaluator) = &mut self.evaluator {
            let opinions = evaluator.tick(now_ms);
            self.judge(opinions);
        }
        if self.now_us < self.span.duration_us {
            self.plan_tick();
        }
    }

    fn plan_tick(&mut self) {
        if let Some(tick_ms) = self.evaluator.as_ref().and_then(|evaluator| evaluator.tick_ms()) {
            self.agenda_at(tick_ms.max(1) * 1000, Happening::Tick);
        }
    }

    /// Puts opinions about endpoints into effect, as far as it is allowed.
    fn judge(&mut self, opinions: Vec<Opinion>) {
        let Some(bounds) = self.scenario.resilience.ejection else { return };
        for opinion in opinions {
            if self.cluster.judge(self.now_us, opinion, bounds) {
                self.tell_service(opinion.slot, opinion.is_healthy);
            }
        }
    }

    /// Something happens so much later.
    pub(crate) fn agenda_at(&mut self, after_us: u64, happening: Happening) {
        self.agenda.at(self.now_us.saturating_add(after_us), happening);
    }

    pub(crate) fn plan_end_of_wait(&mut self, ticket: Ticket) {
        self.agenda.at(self.now_us.saturating_add(self.scenario.queue_timeout_us), Happening::WaitIsOver { ticket });
    }

    fn event(&mut self, number: u32) {
        let Some(event) = self.scenario.events.get(number as usize) else { return };
        let (slot, what) = (event.slot, event.what);
        if what.is_of_membership() {
            if self.cluster.change_membership(self.now_us, slot, what) {
                self.agenda.at(self.now_us, Happening::Ramp { slot });
            }
            self.tell_endpoints(Some(&format!("{} {}", self.id(slot), what.verb())));
            return;
        }
        self.servers[slot as usize].suffer(what);
        if let Some(notice_us) = self.scenario.notice_us {
            let works = !self.servers[slot as usize].fails();
            self.agenda.at(self.now_us + notice_us, Happening::Notice { slot, works });
        }
    }

    fn notice(&mut self, slot: u32, works: bool) {
        // It may have changed again since.
        if self.servers[slot as usize].fails() == works || !self.cluster.notice(self.now_us, slot, works) {
            return;
        }
        self.tell_service(slot, works);
    }

    /// Tells everyone of an endpoint that serves from now on, or no longer.
    fn tell_service(&mut self, slot: u32, serves: bool) {
        if serves && self.scenario.slow_start_us > 0 {
            self.agenda.at(self.now_us, Happening::Ramp { slot });
        }
        let what = if serves { "is put back" } else { "is taken out" };
        self.tell_endpoints(Some(&format!("{} {what}", self.id(slot))));
    }

    fn id(&self, slot: u32) -> &str {
        self.scenario.endpoints.get(slot as usize).map_or("", |endpoint| &endpoint.id)
    }

    fn tell_endpoints(&mut self, what: Option<&str>) {
        let members = self.cluster.members();
        let now_ms = self.now_ms();
        self.balancer.set_now_ms(now_ms);
        self.balancer.set_endpoints(&members);
        if let Some(evaluator) = &mut self.evaluator {
            evaluator.set_endpoints(&members);
        }
        if let Some(probe) = &mut self.probe {
            probe.set_endpoints(self.now_us, now_ms, &members, what);
        }
        // There may be others to go to.
        for proxy in 0..self.scenario.proxies as usize {
            self.room_at(proxy);
        }
    }

    fn finish(mut self) -> Measured {
        let due = self.cluster.due();
        let keys = self.probe.and_then(KeyProbe::changes);
        self.results.measured(self.scenario, &mut self.servers, &due, keys, self.revisits.share())
    }
}

impl What {
    /// As it stands beside the line that marks it.
    pub(crate) fn describe(self, id: &str) -> String {
        match self {
            Self::Slow { factor } => format!("{id} takes {factor}× as long"),
            other => format!("{id} {}", other.verb()),
        }
    }
}
