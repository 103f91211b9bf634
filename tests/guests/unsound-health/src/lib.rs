//! Counts probes and attempts in a row, and breaks just the property of the conformance suite that its configuration names.

use std::collections::BTreeMap;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthPlan, HealthVerdict, ProbeResult, Transition};

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Property {
    /// Adds good probes up, whatever is between them.
    H1,
    /// Says the same again.
    H3,
    /// Forgives with time what probes said.
    H4,
    /// Blames endpoints for clients that go away.
    H5,
    /// Never lets an endpoint back that traffic took out.
    H9,
    /// Trusts the clock.
    H10,
    /// Holds it against the slot.
    H11,
    /// Blames the next one too.
    H12,
    /// Takes saved state for its own.
    G8h,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    breaks: Option<Property>,
}

struct Unsound {
    breaks: Option<Property>,
    records: BTreeMap<u32, Record>,
}

#[derive(Default)]
struct Record {
    id_hash: u64,
    is_out: bool,
    good: u32,
    bad: u32,
    failures: u32,
    ejected_at_ms: Option<u64>,
}

const FALL: u32 = 3;
const RISE: u32 = 2;
const FAILURES: u32 = 5;
const EJECTED_MS: u64 = 20_000;

impl Unsound {
    fn breaks(&self, property: Property) -> bool {
        self.breaks == Some(property)
    }

    /// Whether that changes what is thought of the endpoint.
    fn count(&mut self, slot: u32, passed: bool) -> bool {
        let (adds_up, repeats) = (self.breaks(Property::H1), self.breaks(Property::H3));
        let Some(record) = self.records.get_mut(&slot) else { return false };
        if passed {
            record.bad = 0;
            record.good += 1;
            let is_back = record.is_out && record.good >= RISE;
            record.is_out &= !is_back;
            return is_back && record.ejected_at_ms.is_none();
        }
        if !(adds_up && record.is_out) {
            record.good = 0;
        }
        record.bad += 1;
        let goes = !record.is_out && record.bad >= FALL;
        let again = record.is_out && repeats;
        record.is_out |= goes;
        goes || again
    }
}

impl Health for Unsound {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { breaks: config.breaks, records: BTreeMap::new() })
    }

    fn plan(&self) -> HealthPlan {
        HealthPlan { outcomes: true, tick: Some(Duration::from_millis(500)), initial_probes: 0 }
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let keeps = self.breaks(Property::H11);
        self.records.retain(|slot, record| endpoints.get(*slot).is_some_and(|e| keeps || e.id_hash == record.id_hash));
        for e in endpoints {
            self.records.entry(e.slot).or_insert_with(|| Record { id_hash: e.id_hash, ..Record::default() });
        }
    }

    fn probed(&mut self, _now_ms: u64, probe: &ProbeResult, _endpoints: &Endpoints) -> Vec<Transition> {
        let changed = self.count(probe.slot, probe.passed);
        let mut transitions = Vec::new();
        if changed {
            transitions.push(transition(probe.slot, probe.passed, Evidence::Probe));
        }
        // Not in the first slots: there it would show where a slot is taken over.
        if self.breaks(Property::H12) && probe.slot >= 4 && !probe.passed {
            let next = probe.slot.saturating_add(1);
            if self.count(next, false) {
                transitions.push(transition(next, false, Evidence::Probe));
            }
        }
        transitions
    }

    fn outcomes(&mut self, now_ms: u64, outcomes: &[Outcome], _endpoints: &Endpoints) -> Vec<Transition> {
        let blames = self.breaks(Property::H5);
        let mut transitions = Vec::new();
        for outcome in outcomes {
            let Some(record) = self.records.get_mut(&outcome.slot) else { continue };
            match outcome.class {
                OutcomeClass::ClientAbort if !blames => continue,
                OutcomeClass::Success => record.failures = 0,
                _ => record.failures += 1,
            }
            if record.failures >= FAILURES && record.ejected_at_ms.is_none() {
                record.failures = 0;
                record.ejected_at_ms = Some(now_ms);
                transitions.push(transition(outcome.slot, false, Evidence::Traffic));
            }
        }
        transitions
    }

    fn tick(&mut self, now_ms: u64, _endpoints: &Endpoints) -> Vec<Transition> {
        let (forgives, is_final, trusts) =
            (self.breaks(Property::H4), self.breaks(Property::H9), self.breaks(Property::H10));
        let mut transitions = Vec::new();
        for (slot, record) in &mut self.records {
            if forgives && record.is_out && record.ejected_at_ms.is_none() {
                record.is_out = false;
                transitions.push(transition(*slot, true, Evidence::Traffic));
            }
            let Some(at_ms) = &mut record.ejected_at_ms else { continue };
            if !trusts {
                *at_ms = now_ms.min(*at_ms);
            }
            if now_ms >= at_ms.saturating_add(EJECTED_MS) && !is_final {
                record.ejected_at_ms = None;
                record.failures = 0;
                if !record.is_out {
                    transitions.push(transition(*slot, true, Evidence::Traffic));
                }
            }
        }
        transitions
    }

    fn save(&self) -> Vec<u8> {
        (self.records.len() as u32).to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        if self.breaks(Property::G8h) {
            let _: [u8; 4] = state.try_into().expect("nobody else saves state");
        }
        true
    }
}

fn transition(slot: u32, is_healthy: bool, evidence: Evidence) -> Transition {
    let verdict = if is_healthy { HealthVerdict::Healthy } else { HealthVerdict::Unhealthy };
    Transition { slot, verdict, evidence, reason: String::new() }
}

plimsoll_sdk::plugin! { health: Unsound }
