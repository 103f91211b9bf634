//! Consecutive results decide: so many bad probes in a row take an endpoint out, so many good ones bring it back, and so
//! many failed requests, in a row or within a time, eject it for a while. Either opinion alone is enough to keep it out.

mod config;
mod record;

pub use config::Config;
use config::Passive;
use judgement::{ProbeRules, TICK_MS, follow};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthPlan, HealthVerdict, ProbeResult, Sorted, Transition};
use record::Record;

/// Counts what comes in a row.
#[derive(Debug)]
pub struct Thresholds {
    probes: ProbeRules,
    passive: Option<Passive>,
    records: Sorted<u32, Record>,
}

impl Health for Thresholds {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let passive = config.check()?;
        let Config { rise, fall, initial, .. } = config;
        let probes = ProbeRules { rise, fall, initial_fall: config.initial_fall.unwrap_or(fall), initial };
        Ok(Self { probes, passive, records: Sorted::new() })
    }

    fn plan(&self) -> HealthPlan {
        let tick = self.passive.is_some().then_some(Duration::from_millis(TICK_MS));
        HealthPlan { outcomes: self.passive.is_some(), tick, initial_probes: self.probes.initial }
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        follow(&mut self.records, endpoints, |record| record.id_hash, Record::new);
    }

    fn probed(&mut self, _now_ms: u64, probe: &ProbeResult, _endpoints: &Endpoints) -> Vec<Transition> {
        let Some(record) = self.records.get_mut(&probe.slot) else { return Vec::new() };
        let was_out = record.probing.is_out();
        let transition = record.probing.hear(probe, &self.probes, record.ejections.is_out());
        if was_out && !record.probing.is_out() {
            record.forget_failures();
        }
        transition.into_iter().collect()
    }

    fn outcomes(&mut self, now_ms: u64, outcomes: &[Outcome], _endpoints: &Endpoints) -> Vec<Transition> {
        let Some(passive) = &self.passive else { return Vec::new() };
        let mut transitions = Vec::new();
        for outcome in outcomes {
            let Some(record) = self.records.get_mut(&outcome.slot) else { continue };
            let Some(failed) = passive.judge(outcome) else { continue };
            if !failed {
                record.request_succeeded(now_ms, passive);
            } else if let Some(lasts_ms) = record.request_failed(now_ms, passive) {
                let span = Duration::from_millis(lasts_ms);
                let reason = format!("{}, ejected for {span}", passive.verdict());
                transitions.push(Transition {
                    slot: outcome.slot,
                    verdict: HealthVerdict::Unhealthy,
                    evidence: Evidence::Traffic,
                    reason,
                });
            }
        }
        transitions
    }

    fn tick(&mut self, now_ms: u64, _endpoints: &Endpoints) -> Vec<Transition> {
        let back = self.records.iter_mut().filter_map(|(slot, record)| record.ejection_over(now_ms).then_some(*slot));
        back.map(|slot| Transition {
            slot,
            verdict: HealthVerdict::Healthy,
            evidence: Evidence::Traffic,
            reason: "ejection is over".to_owned(),
        })
        .collect()
    }
}

plimsoll_sdk::plugin! { summary: "judges endpoints by consecutive probes and requests", health: Thresholds }

#[cfg(test)]
mod tests;
