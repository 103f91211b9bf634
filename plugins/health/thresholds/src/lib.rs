//! Consecutive results decide: so many bad probes in a row take an endpoint out, so many good ones bring it back, and so
//! many failed requests in a row eject it for a while. Either opinion alone is enough to keep it out.

mod config;
mod record;

pub use config::Config;
use config::Passive;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthPlan, HealthVerdict, ProbeResult, Sorted, Transition};
use record::Record;

/// How long the return of an ejected endpoint may be late.
const TICK: Duration = Duration::from_millis(500);

/// Counts what comes in a row.
#[derive(Debug)]
pub struct Thresholds {
    rise: u32,
    fall: u32,
    initial: u32,
    passive: Option<Passive>,
    records: Sorted<u32, Record>,
}

impl Health for Thresholds {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let passive = config.check()?;
        Ok(Self { rise: config.rise, fall: config.fall, initial: config.initial, passive, records: Sorted::new() })
    }

    fn plan(&self) -> HealthPlan {
        let tick = self.passive.is_some().then_some(TICK);
        HealthPlan { outcomes: self.passive.is_some(), tick, initial_probes: self.initial }
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        // A slot may come back as another endpoint: what was held against the former one is not held against it.
        self.records.retain(|slot, record| endpoints.get(*slot).is_some_and(|e| e.id_hash == record.id_hash));
        for e in endpoints {
            if self.records.get(&e.slot).is_none() {
                self.records.insert(e.slot, Record::new(e.id_hash));
            }
        }
    }

    fn probed(&mut self, _now_ms: u64, probe: &ProbeResult, _endpoints: &Endpoints) -> Vec<Transition> {
        let Some(record) = self.records.get_mut(&probe.slot) else { return Vec::new() };
        let changed =
            if probe.passed { record.probe_passed(self.rise, self.initial) } else { record.probe_failed(self.fall) };
        if !changed {
            return Vec::new();
        }
        let (verdict, reason) = if probe.passed {
            (HealthVerdict::Healthy, "probes pass".to_owned())
        } else {
            let what = in_a_row(self.fall, "probe", "failed");
            let reason = if probe.detail.is_empty() { what } else { format!("{what}: {}", probe.detail) };
            (HealthVerdict::Unhealthy, reason)
        };
        vec![Transition { slot: probe.slot, verdict, evidence: Evidence::Probe, reason }]
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
                let reason = format!("{}, ejected for {span}", in_a_row(passive.failures, "request", "failed"));
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

fn in_a_row(count: u32, what: &str, ended: &str) -> String {
    match count {
        1 => format!("a {what} {ended}"),
        _ => format!("{count} {what}s in a row {ended}"),
    }
}

plimsoll_sdk::plugin! { summary: "judges endpoints by consecutive probes and requests", health: Thresholds }

#[cfg(test)]
mod tests;
