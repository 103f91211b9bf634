use plimsoll_resilience::EjectionBounds;

use crate::balancer::Member;
use crate::evaluator::Opinion;
use crate::scenario::{Scenario, What};

/// The endpoints as the proxies know them, and the share of the requests that is due to each.
#[derive(Debug)]
pub(crate) struct Cluster {
    slow_start_us: u64,
    known: Vec<Known>,
    /// Requests counted, each divided by the weight of all endpoints at its time.
    for_weight: f64,
    total_weight: f64,
}

/// The endpoints that a scenario begins with, as proxies know them.
pub fn members(scenario: &Scenario) -> Vec<Member> {
    Cluster::new(scenario).members()
}

#[derive(Debug)]
struct Known {
    member: Member,
    is_there: bool,
    /// As far as the proxies have noticed.
    works: bool,
    is_ejected: bool,
    /// Since when it warms up.
    warms_since: Option<u64>,
    /// Weight in force as of the last change.
    weight: f64,
    /// Requests due to it, up to `counted_at`.
    due: f64,
    counted_at: f64,
}

/// Steps of the warming up, as in the proxy.
const RAMP_STEPS: u64 = 20;
const LEAST_RAMP: u64 = 100;

impl Cluster {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let known = (0..).zip(&scenario.endpoints).map(|(slot, endpoint)| Known {
            member: Member {
                slot,
                id: endpoint.id.clone(),
                weight: endpoint.weight,
                ramp: 1000,
                ready: true,
                priority: endpoint.priority,
                max_connections: endpoint.max_connections,
                zone: endpoint.zone.clone(),
                metadata: endpoint.metadata.clone(),
            },
            is_there: scenario.is_there_at_first(slot),
            works: true,
            is_ejected: false,
            warms_since: None,
            weight: 0.0,
            due: 0.0,
            counted_at: 0.0,
        });
        let mut cluster =
            Self { slow_start_us: scenario.slow_start_us, known: known.collect(), for_weight: 0.0, total_weight: 0.0 };
        cluster.settle();
        cluster
    }

    /// Those that are to be told.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.known.iter().filter(|known| known.is_there).map(|known| known.member.clone()).collect()
    }

    /// The member of a slot, if it takes new requests.
    pub(crate) fn open(&self, slot: u32) -> Option<&Member> {
        let known = self.known.get(slot as usize)?;
        (known.is_there && known.member.takes_new()).then_some(&known.member)
    }

    /// Those that take new requests.
    pub(crate) fn all_open(&self) -> impl Iterator<Item = &Member> {
        self.known.iter().filter(|known| known.is_there && known.member.takes_new()).map(|known| &known.member)
    }

    /// An endpoint comes or goes. Answers whether it begins to warm up.
    pub(crate) fn change_membership(&mut self, now_us: u64, slot: u32, what: What) -> bool {
        let warms = what == What::Join && self.slow_start_us > 0;
        if let Some(known) = self.known.get_mut(slot as usize) {
            known.is_there = what == What::Join;
            (known.works, known.is_ejected, known.member.ready) = (true, false, true);
            known.warm(now_us, warms);
        }
        self.settle();
        warms
    }

    /// The proxies have noticed whether an endpoint works. Answers whether they knew it otherwise.
    pub(crate) fn notice(&mut self, now_us: u64, slot: u32, works: bool) -> bool {
        self.change(now_us, slot, |known| known.works = works)
    }

    /// The evaluator ejects an endpoint, within bounds, or ends that. Answers whether that changes whether it is ready.
    pub(crate) fn judge(&mut self, now_us: u64, opinion: Opinion, bounds: EjectionBounds) -> bool {
        let there = || self.known.iter().filter(|known| known.is_there);
        let ejected = there().filter(|known| known.is_ejected).count();
        let others_ready = there().filter(|known| known.member.ready && known.member.slot != opinion.slot).count();
        if !opinion.is_healthy && !bounds.allow(there().count(), ejected, others_ready) {
            return false;
        }
        self.change(now_us, opinion.slot, |known| known.is_ejected = !opinion.is_healthy)
    }

    /// Something is another way with an endpoint. Answers whether it is ready from now on, or is not, other than before.
    fn change(&mut self, now_us: u64, slot: u32, change: impl FnOnce(&mut Known)) -> bool {
        let warms = self.slow_start_us > 0;
        let Some(known) = self.known.get_mut(slot as usize).filter(|known| known.is_there) else { return false };
        change(known);
        let ready = known.works && !known.is_ejected;
        if known.member.ready == ready {
            return false;
        }
        known.member.ready = ready;
        known.warm(now_us, ready && warms);
        self.settle();
        true
    }

    /// An endpoint that warms up takes another step. Answers when it takes the next one.
    pub(crate) fn step_ramp(&mut self, now_us: u64, slot: u32) -> Option<u64> {
        let known = self.known.get_mut(slot as usize)?;
        let passed = now_us - known.warms_since?;
        known.member.ramp = (passed * 1000 / self.slow_start_us).clamp(LEAST_RAMP, 1000) as u32;
        if passed >= self.slow_start_us {
            known.warms_since = None;
        }
        self.settle();
        (passed < self.slow_start_us).then(|| now_us + (self.slow_start_us / RAMP_STEPS).max(1))
    }

    /// A request that counts.
    pub(crate) fn count_request(&mut self) {
        if self.total_weight > 0.0 {
            self.for_weight += 1.0 / self.total_weight;
        }
    }

    /// Credits what was due since the last time, and weighs anew.
    fn settle(&mut self) {
        let for_weight = self.for_weight;
        for known in &mut self.known {
            known.due += known.weight * (for_weight - known.counted_at);
            known.counted_at = for_weight;
            known.weight = known.weight_in_force();
        }
        self.total_weight = self.known.iter().map(|known| known.weight).sum();
    }

    /// Requests that were due to each endpoint by its weight, for the time that it took any.
    pub(crate) fn due(&mut self) -> Vec<f64> {
        self.settle();
        self.known.iter().map(|known| known.due).collect()
    }
}

impl Known {
    fn warm(&mut self, now_us: u64, warms: bool) {
        self.warms_since = warms.then_some(now_us);
        self.member.ramp = if warms { LEAST_RAMP as u32 } else { 1000 };
    }

    fn weight_in_force(&self) -> f64 {
        if !self.is_there || !self.member.takes_new() {
            return 0.0;
        }
        f64::from(self.member.weight) * f64::from(self.member.ramp) / 1000.0
    }
}
