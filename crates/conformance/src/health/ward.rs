use std::collections::BTreeSet;
use std::time::Duration;

use super::policy::Health;
use crate::{Endpoint, Evidence, HealthPlan, Outcome, OutcomeClass, ProbeResult, Transition};

/// Endpoints under the eye of an evaluator, and the clock.
pub(super) struct Ward {
    pub(super) health: Box<dyn Health>,
    pub(super) plan: HealthPlan,
    pub(super) now_ms: u64,
    /// Slots that are out of service by its last word about them, or because they have to prove themselves first.
    pub(super) out: BTreeSet<u32>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Probe {
        slot: u32,
        passed: bool,
    },
    /// So many attempts that ended alike.
    Traffic {
        slot: u32,
        end: End,
        count: u32,
    },
    Pass {
        ms: u64,
    },
}

/// How an attempt ended: its class, and the status of the answer if there was one.
pub(super) type End = (OutcomeClass, u16);

pub(super) const GOOD: End = (OutcomeClass::Success, 200);
pub(super) const FAILED: End = (OutcomeClass::ConnectFailure, 0);

/// When everything begins: late enough that a clock can jump back.
const BEGINNING_MS: u64 = 1_000_000_000;
/// Steps of the clock where nobody asks for ticks.
const STEP_MS: u64 = 1000;

impl Ward {
    pub(super) fn new(health: Box<dyn Health>, endpoints: Vec<Endpoint>) -> Result<Self, String> {
        let plan = health.plan();
        let mut ward = Self { health, plan, now_ms: BEGINNING_MS, out: BTreeSet::new() };
        ward.tell(&endpoints)?;
        if plan.initial_probes > 0 {
            ward.out.extend(endpoints.iter().map(|endpoint| endpoint.slot));
        }
        Ok(ward)
    }

    pub(super) fn tell(&mut self, endpoints: &[Endpoint]) -> Result<(), String> {
        self.out.retain(|slot| endpoints.iter().any(|endpoint| endpoint.slot == *slot));
        self.health.set_endpoints(endpoints)
    }

    pub(super) fn take(&mut self, event: Event) -> Result<Vec<Transition>, String> {
        match event {
            Event::Probe { slot, passed } => self.probe(slot, passed),
            Event::Traffic { slot, end, count } => self.traffic(slot, end, count),
            Event::Pass { ms } => self.pass(ms),
        }
    }

    pub(super) fn probe(&mut self, slot: u32, passed: bool) -> Result<Vec<Transition>, String> {
        let detail = if passed { "" } else { "status 503" };
        let probe = ProbeResult { slot, passed, took: Duration::from_millis(1), detail: detail.into() };
        let transitions = self.health.probed(self.now_ms, &probe)?;
        Ok(self.heed(transitions))
    }

    /// So many probes; answers after how many of them the endpoint's state was another.
    pub(super) fn probe_until_it_changes(&mut self, slot: u32, passed: bool, most: u32) -> Result<Option<u32>, String> {
        let was_out = self.is_out(slot);
        for number in 1..=most {
            self.probe(slot, passed)?;
            if self.is_out(slot) != was_out {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Nobody is told who did not ask.
    pub(super) fn traffic(&mut self, slot: u32, end: End, count: u32) -> Result<Vec<Transition>, String> {
        let outcome = Outcome { slot, class: end.0, status: end.1, first_byte_us: 1000, total_us: 2000 };
        self.batch(&vec![outcome; count as usize])
    }

    pub(super) fn batch(&mut self, batch: &[Outcome]) -> Result<Vec<Transition>, String> {
        if !self.plan.outcomes {
            return Ok(Vec::new());
        }
        let transitions = self.health.outcomes(self.now_ms, batch)?;
        Ok(self.heed(transitions))
    }

    /// Failed attempts one by one, until traffic takes the endpoint out; answers how many it took.
    pub(super) fn fail_until_out(&mut self, slot: u32, most: u32) -> Result<Option<u32>, String> {
        for number in 1..=most {
            let transitions = self.traffic(slot, FAILED, 1)?;
            if transitions.iter().any(|t| t.slot == slot && !t.is_healthy() && t.evidence == Evidence::Traffic) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    pub(super) fn step_ms(&self) -> u64 {
        self.plan.tick.map_or(STEP_MS, |tick| (tick.as_millis() as u64).max(100))
    }

    /// Lets time pass, with the ticks that were asked for.
    pub(super) fn pass(&mut self, ms: u64) -> Result<Vec<Transition>, String> {
        let until_ms = self.now_ms.saturating_add(ms);
        let mut all = Vec::new();
        while self.now_ms < until_ms {
            self.now_ms = until_ms.min(self.now_ms + self.step_ms());
            all.extend(self.tick()?);
        }
        Ok(all)
    }

    pub(super) fn tick(&mut self) -> Result<Vec<Transition>, String> {
        if self.plan.tick.is_none() {
            return Ok(Vec::new());
        }
        let transitions = self.health.tick(self.now_ms)?;
        Ok(self.heed(transitions))
    }

    /// Lets time pass until the endpoint is back; answers how long that took.
    pub(super) fn pass_until_back(&mut self, slot: u32, most_ms: u64) -> Result<Option<u64>, String> {
        let began_ms = self.now_ms;
        while self.is_out(slot) && self.now_ms - began_ms < most_ms {
            self.pass(self.step_ms())?;
        }
        Ok((!self.is_out(slot)).then_some(self.now_ms - began_ms))
    }

    pub(super) fn is_out(&self, slot: u32) -> bool {
        self.out.contains(&slot)
    }

    fn heed(&mut self, transitions: Vec<Transition>) -> Vec<Transition> {
        for transition in &transitions {
            if transition.is_healthy() {
                self.out.remove(&transition.slot);
            } else {
                self.out.insert(transition.slot);
            }
        }
        transitions
    }
}

/// Random events at so many endpoints; some of them in runs, so that thresholds are passed.
pub(super) fn random_events(random: &mut fastrand::Rng, endpoints: u32, count: u32) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count as usize {
        let slot = random.u32(..endpoints);
        match random.u8(..6) {
            0 => events.push(Event::Pass { ms: [100, 1000, 30_000, 400_000][random.usize(..4)] }),
            1 => events.push(Event::Traffic { slot, end: FAILED, count: random.u32(1..12) }),
            2 => {
                let ends = [
                    GOOD,
                    (OutcomeClass::Success, 404),
                    (OutcomeClass::ServerError, 503),
                    (OutcomeClass::ClientAbort, 0),
                ];
                events.push(Event::Traffic { slot, end: ends[random.usize(..ends.len())], count: random.u32(1..12) });
            }
            _ => {
                let passed = random.bool();
                events.extend((0..random.u32(1..5)).map(|_| Event::Probe { slot, passed }));
            }
        }
    }
    events
}

/// Only probes, as [`random_events`].
pub(super) fn random_probes(random: &mut fastrand::Rng, endpoints: u32, count: u32) -> Vec<Event> {
    let mut events = random_events(random, endpoints, 2 * count);
    events.retain(|event| matches!(event, Event::Probe { .. }));
    events
}

/// Slot and verdict of transitions.
pub(super) fn verdicts(transitions: &[Transition]) -> Vec<(u32, bool)> {
    transitions.iter().map(|transition| (transition.slot, transition.is_healthy())).collect()
}
