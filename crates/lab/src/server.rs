use std::collections::VecDeque;

use lru::LruCache;
use plimsoll_model::{LoadReport, OutcomeClass};

use crate::measure::{Level, Span};
use crate::numbers::exp;
use crate::scenario::{Endpoint, Scenario, What};

/// An attempt, told from earlier ones of the same request by its serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) request: u32,
    pub(crate) serial: u64,
}

/// An endpoint at work.
#[derive(Debug)]
pub(crate) struct Server {
    concurrency: u32,
    speed: f64,
    condition: Condition,
    /// Times as long as it should take.
    slowness: f64,
    working: u32,
    /// Attempts that wait, and what each asks for.
    queue: VecDeque<(Ticket, f64)>,
    /// Attempts under way, by proxy.
    pub(crate) from_proxy: Vec<u32>,
    pub(crate) under_way: u32,
    /// Attempts begun in the time that is counted.
    pub(crate) attempts: u64,
    pub(crate) in_flight_over_time: Level,
    busy_over_time: Level,
    load: LoadOfLate,
    /// The keys that it was asked for last, as many as it has room for; none where endpoints do not remember.
    memory: Option<LruCache<u64, ()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    Error,
    Refuse,
    Hang,
}

/// What an endpoint does with an attempt that comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reception {
    /// Works on it for so long.
    Begins {
        us: u64,
    },
    /// Has it wait until others are done.
    Queues,
    /// Ends it in this way after so long.
    Ends {
        class: OutcomeClass,
        after_us: u64,
    },
    Nothing,
}

/// A refusal takes a round trip, an error little more.
const REFUSAL_US: u64 = 500;
const ERROR_US: u64 = 1000;

impl Server {
    pub(crate) fn new(endpoint: &Endpoint, scenario: &Scenario, span: Span) -> Self {
        Self {
            concurrency: endpoint.concurrency,
            speed: endpoint.speed,
            condition: Condition::Well,
            slowness: 1.0,
            working: 0,
            queue: VecDeque::new(),
            from_proxy: vec![0; scenario.proxies as usize],
            under_way: 0,
            attempts: 0,
            in_flight_over_time: Level::new(span),
            busy_over_time: Level::new(span),
            load: LoadOfLate::default(),
            memory: scenario.memory.map(|memory| LruCache::new(memory.keys)),
        }
    }

    pub(crate) fn suffer(&mut self, what: What) {
        match what {
            What::Slow { factor } => self.slowness = factor,
            What::Error => self.condition = Condition::Error,
            What::Refuse => self.condition = Condition::Refuse,
            What::Hang => self.condition = Condition::Hang,
            What::Recover => {
                self.condition = Condition::Well;
                self.slowness = 1.0;
            }
            What::Join | What::Leave => {}
        }
    }

    pub(crate) fn fails(&self) -> bool {
        self.condition != Condition::Well
    }

    /// An attempt begins.
    pub(crate) fn receive(&mut self, now_us: u64, proxy: usize, ticket: Ticket, demand_us: f64) -> Reception {
        self.from_proxy[proxy] += 1;
        self.under_way += 1;
        self.in_flight_over_time.set(now_us, self.under_way);
        match self.condition {
            Condition::Error => Reception::Ends { class: OutcomeClass::ServerError, after_us: ERROR_US },
            Condition::Refuse => Reception::Ends { class: OutcomeClass::ConnectFailure, after_us: REFUSAL_US },
            Condition::Hang => Reception::Nothing,
            Condition::Well if self.working < self.concurrency => {
                self.work(now_us, self.working + 1);
                Reception::Begins { us: self.takes_us(demand_us) }
            }
            Condition::Well => {
                self.queue.push_back((ticket, demand_us));
                Reception::Queues
            }
        }
    }

    /// An attempt is over for the proxy, whether or not the endpoint still works on it.
    pub(crate) fn leave(&mut self, now_us: u64, proxy: usize) {
        self.from_proxy[proxy] = self.from_proxy[proxy].saturating_sub(1);
        self.under_way = self.under_way.saturating_sub(1);
        self.in_flight_over_time.set(now_us, self.under_way);
    }

    /// Whether it has a key in memory, as from now on; none where endpoints do not remember.
    pub(crate) fn remembers(&mut self, key: u64) -> Option<bool> {
        Some(self.memory.as_mut()?.put(key, ()).is_some())
    }

    /// A place at work is free.
    pub(crate) fn done(&mut self, now_us: u64) {
        self.work(now_us, self.working.saturating_sub(1));
    }

    /// The next of those that wait, if there is a place for it; whether it still wants to is for the caller to say, who
    /// then has it [`begin`](Self::begin).
    pub(crate) fn next_waiting(&mut self) -> Option<(Ticket, f64)> {
        if self.working < self.concurrency { self.queue.pop_front() } else { None }
    }

    pub(crate) fn begin(&mut self, now_us: u64, demand_us: f64) -> u64 {
        self.work(now_us, self.working + 1);
        self.takes_us(demand_us)
    }

    fn takes_us(&self, demand_us: f64) -> u64 {
        ((demand_us * self.slowness / self.speed).round() as u64).max(1)
    }

    fn work(&mut self, now_us: u64, working: u32) {
        self.load.pass(now_us, f64::from(self.working) / f64::from(self.concurrency));
        self.working = working;
        self.busy_over_time.set(now_us, working);
    }

    /// What it says of its load with an answer.
    pub(crate) fn report(&mut self, now_us: u64, class: OutcomeClass) -> LoadReport {
        self.load.pass(now_us, f64::from(self.working) / f64::from(self.concurrency));
        self.load.answered(class)
    }

    /// Share of its places that was at work.
    pub(crate) fn utilization(&mut self) -> f64 {
        self.busy_over_time.mean() / f64::from(self.concurrency)
    }
}

/// Moving averages of what an endpoint reports, over some two seconds.
#[derive(Debug, Default)]
struct LoadOfLate {
    at_us: u64,
    utilization: f64,
    answers: f64,
    errors: f64,
}

const OF_LATE_US: f64 = 2e6;

impl LoadOfLate {
    fn pass(&mut self, now_us: u64, utilization: f64) {
        let kept = exp(-(now_us.saturating_sub(self.at_us) as f64) / OF_LATE_US);
        self.utilization = utilization + (self.utilization - utilization) * kept;
        self.answers *= kept;
        self.errors *= kept;
        self.at_us = now_us;
    }

    fn answered(&mut self, class: OutcomeClass) -> LoadReport {
        self.answers += 1.0;
        if class == OutcomeClass::ServerError {
            self.errors += 1.0;
        }
        let per_second = |count: f64| (count * 1e6 / OF_LATE_US * 1000.0).round() as u32;
        let utilization = ((self.utilization * 1000.0).round() as u32).max(1);
        LoadReport {
            cpu: utilization,
            memory: 0,
            utilization,
            requests_per_second: per_second(self.answers),
            errors_per_second: per_second(self.errors),
        }
    }
}
