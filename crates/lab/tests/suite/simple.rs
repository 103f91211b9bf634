//! Balancers without a host, as simple as they can be, and scenarios for them.

use plimsoll_lab::{
    Arrivals, Asked, Balancer, Endpoint, Fault, Keys, LoadReport, Measured, Member, Outcome, Resilience, Scenario,
    Service, run,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Random,
    Turns,
    /// The less loaded of two.
    TwoChoices,
    /// The least loaded of all.
    Shortest,
    /// By the key, modulo the number of endpoints.
    Modulo,
    /// By the key, the highest of scores.
    Highest,
    /// Fails.
    Broken,
    /// Names endpoints that there are none of.
    Liar,
}

/// What the balancers of all workers know, and what they were told.
pub(crate) struct Simple {
    kind: Kind,
    random: fastrand::Rng,
    turns: Vec<usize>,
    members: Vec<Member>,
    /// By proxy and slot.
    in_flight: Vec<Vec<u32>>,
    workers: u32,
    /// Whether clients come back to the endpoint that has answered them, and which that was.
    pub(crate) binds: bool,
    bound: std::collections::HashMap<u64, u32>,
    /// Requests by their kinds.
    pub(crate) kinds: std::rc::Rc<std::cell::RefCell<[u32; 3]>>,
    pub(crate) told: std::rc::Rc<std::cell::RefCell<Vec<(u32, usize)>>>,
}

impl Simple {
    pub(crate) fn new(kind: Kind, scenario: &Scenario) -> Self {
        Self {
            kind,
            random: fastrand::Rng::with_seed(scenario.seed + 99),
            turns: (0..(scenario.workers * scenario.proxies) as usize).collect(),
            members: Vec::new(),
            in_flight: vec![vec![0; scenario.endpoints.len()]; scenario.proxies as usize],
            workers: scenario.workers,
            binds: false,
            bound: Default::default(),
            kinds: Default::default(),
            told: Default::default(),
        }
    }
}

impl Balancer for Simple {
    fn set_now_ms(&mut self, _: u64) {}

    fn set_endpoints(&mut self, members: &[Member]) {
        self.members = members.iter().filter(|member| member.ready).cloned().collect();
    }

    fn pick(&mut self, worker: u32, asked: Asked, tried: &[u32]) -> Result<Option<u32>, Fault> {
        self.kinds.borrow_mut()[asked.kind as usize] += 1;
        let open: Vec<u32> =
            self.members.iter().map(|member| member.slot).filter(|slot| !tried.contains(slot)).collect();
        if open.is_empty() {
            return Ok(self.members.first().map(|member| member.slot));
        }
        let loads = &self.in_flight[(worker / self.workers) as usize];
        let mut one = || open[self.random.usize(..open.len())];
        Ok(Some(match self.kind {
            Kind::Random => one(),
            Kind::Turns => {
                let turn = &mut self.turns[worker as usize];
                *turn += 1;
                open[*turn % open.len()]
            }
            Kind::TwoChoices => {
                let (first, second) = (one(), one());
                if loads[second as usize] < loads[first as usize] { second } else { first }
            }
            Kind::Shortest => *open.iter().min_by_key(|slot| loads[**slot as usize]).unwrap_or(&0),
            Kind::Modulo => open[(asked.key.unwrap_or(0) % open.len() as u64) as usize],
            Kind::Highest => {
                let score =
                    |slot: u32| (asked.key.unwrap_or(0) ^ (u64::from(slot) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mixed = |slot: u32| (score(slot) ^ (score(slot) >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20;
                *open.iter().max_by_key(|slot| mixed(**slot)).unwrap_or(&0)
            }
            Kind::Broken => return Err(Fault),
            Kind::Liar => 999,
        }))
    }

    fn bound(&mut self, _: u32, asked: Asked) -> Option<u32> {
        self.bound.get(&asked.key?).copied()
    }

    fn answered(&mut self, _: u32, asked: Asked, slot: u32) {
        if let Some(key) = asked.key.filter(|_| self.binds) {
            self.bound.insert(key, slot);
        }
    }

    fn begin(&mut self, worker: u32, slot: u32) {
        self.in_flight[(worker / self.workers) as usize][slot as usize] += 1;
    }

    fn end(&mut self, worker: u32, outcome: &Outcome) {
        self.in_flight[(worker / self.workers) as usize][outcome.slot as usize] -= 1;
    }

    fn wants_outcomes(&self) -> bool {
        true
    }

    fn outcomes(&mut self, worker: u32, batch: &[Outcome]) {
        self.told.borrow_mut().push((worker, batch.len()));
    }

    fn report_load(&mut self, _: u32, _: u32, _: LoadReport) {}
}

/// So many endpoints of one place each, which come to this load; exponential service times of 10 ms.
pub(crate) fn queues(endpoints: u32, load: f64, seconds: u64) -> Scenario {
    Scenario {
        name: "queues".into(),
        title: "queues".into(),
        seed: 11,
        duration_us: seconds * 1_000_000,
        warm_up_us: seconds * 100_000,
        proxies: 1,
        workers: 4,
        max_attempts: 3,
        resilience: Resilience::default(),
        timeout_us: 3_600_000_000,
        works_on_abandoned: false,
        queue_timeout_us: 1_000_000,
        notice_us: None,
        slow_start_us: 0,
        endpoints: (0..endpoints).map(|number| endpoint(&format!("e{number}"), 1)).collect(),
        arrivals: Arrivals::Poisson { rate: load * f64::from(endpoints) * 100.0 },
        service: Service::Exponential { mean_us: 10_000.0 },
        zones: Vec::new(),
        other_zone_us: 0,
        memory: None,
        kinds: Vec::new(),
        keys: Keys::None,
        events: Vec::new(),
    }
}

pub(crate) fn endpoint(id: &str, concurrency: u32) -> Endpoint {
    Endpoint {
        id: id.to_owned(),
        weight: 1,
        priority: 0,
        max_connections: 0,
        concurrency,
        speed: 1.0,
        zone: String::new(),
        metadata: Vec::new(),
    }
}

pub(crate) fn play(scenario: &Scenario, kind: Kind) -> Measured {
    let mut make = || -> Result<Box<dyn Balancer>, String> { Ok(Box::new(Simple::new(kind, scenario))) };
    run(scenario, &mut make, None, &mut |_| {}).expect("it can be made")
}
