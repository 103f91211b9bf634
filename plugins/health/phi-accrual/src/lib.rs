//! The φ accrual failure detector: an endpoint is out when its silence is too unusual, given the intervals at which its good
//! probes came. It is looked at when a probe fails: that we have not asked says nothing.

mod config;
mod intervals;
mod record;

pub use config::Config;
use judgement::follow;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthPlan, HealthVerdict, ProbeResult, Sorted, Transition};
use record::Record;

/// Suspects whoever is silent for an unusual time.
#[derive(Debug)]
pub struct PhiAccrual {
    config: Config,
    records: Sorted<u32, Record>,
}

impl Health for PhiAccrual {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { config: config.check()?, records: Sorted::new() })
    }

    fn plan(&self) -> HealthPlan {
        HealthPlan { outcomes: self.config.answers, tick: None, initial_probes: self.config.initial }
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        follow(&mut self.records, endpoints, |record| record.id_hash, Record::new);
    }

    fn probed(&mut self, now_ms: u64, probe: &ProbeResult, _endpoints: &Endpoints) -> Vec<Transition> {
        let Some(record) = self.records.get_mut(&probe.slot) else { return Vec::new() };
        let (verdict, reason) = if probe.passed {
            if !record.passed(now_ms, &self.config) {
                return Vec::new();
            }
            (HealthVerdict::Healthy, "probes pass".to_owned())
        } else {
            let Some((silent_ms, phi)) = record.failed(now_ms, &self.config) else { return Vec::new() };
            let (silent, tenths) = (Duration::from_millis(silent_ms), (phi.min(999.0) * 10.0) as u32);
            let said = if probe.detail.is_empty() { String::new() } else { format!(": {}", probe.detail) };
            let reason = format!("no good probe for {silent}, φ is {}.{}{said}", tenths / 10, tenths % 10);
            (HealthVerdict::Unhealthy, reason)
        };
        vec![Transition { slot: probe.slot, verdict, evidence: Evidence::Probe, reason }]
    }

    fn outcomes(&mut self, now_ms: u64, outcomes: &[Outcome], _endpoints: &Endpoints) -> Vec<Transition> {
        for outcome in outcomes.iter().filter(|outcome| outcome.class == OutcomeClass::Success) {
            if let Some(record) = self.records.get_mut(&outcome.slot) {
                record.answered(now_ms);
            }
        }
        Vec::new()
    }
}

plimsoll_sdk::plugin! { summary: "judges endpoints by how unusual their silence is (φ accrual)", health: PhiAccrual }

#[cfg(test)]
mod tests;
