//! A circuit breaker of each endpoint: it opens when too large a share of the requests within a time has failed, is half open
//! after a while, and closes once some requests on trial went well. Probes count as with `thresholds`; either opinion alone
//! is enough to keep an endpoint out.

mod config;
mod record;
mod window;

pub use config::Config;
use config::Rules;
use judgement::{TICK_MS, follow};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthPlan, HealthVerdict, ProbeResult, Sorted, Transition};
use record::Record;

/// Goes by shares of failed requests.
#[derive(Debug)]
pub struct Circuit {
    rules: Rules,
    records: Sorted<u32, Record>,
}

impl Health for Circuit {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { rules: config.check()?, records: Sorted::new() })
    }

    fn plan(&self) -> HealthPlan {
        HealthPlan {
            outcomes: true,
            tick: Some(Duration::from_millis(TICK_MS)),
            initial_probes: self.rules.probes.initial,
        }
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        follow(&mut self.records, endpoints, |record| record.id_hash, Record::new);
    }

    fn probed(&mut self, _now_ms: u64, probe: &ProbeResult, _endpoints: &Endpoints) -> Vec<Transition> {
        let Some(record) = self.records.get_mut(&probe.slot) else { return Vec::new() };
        record.probing.hear(probe, &self.rules.probes, record.open.is_out()).into_iter().collect()
    }

    fn outcomes(&mut self, now_ms: u64, outcomes: &[Outcome], _endpoints: &Endpoints) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for outcome in outcomes {
            let Some(record) = self.records.get_mut(&outcome.slot) else { continue };
            let Some(failed) = self.rules.judge(outcome) else { continue };
            if let Some((why, lasts_ms)) = record.hear(now_ms, failed, &self.rules) {
                transitions.push(Transition {
                    slot: outcome.slot,
                    verdict: HealthVerdict::Unhealthy,
                    evidence: Evidence::Traffic,
                    reason: format!("{why}, circuit open for {}", Duration::from_millis(lasts_ms)),
                });
            }
        }
        transitions
    }

    fn tick(&mut self, now_ms: u64, _endpoints: &Endpoints) -> Vec<Transition> {
        let rules = &self.rules;
        let back =
            self.records.iter_mut().filter_map(|(slot, record)| record.half_opens(now_ms, rules).then_some(*slot));
        back.map(|slot| Transition {
            slot,
            verdict: HealthVerdict::Healthy,
            evidence: Evidence::Traffic,
            reason: "circuit half open".to_owned(),
        })
        .collect()
    }
}

plimsoll_sdk::plugin! { summary: "a circuit breaker of each endpoint, by the share of failed requests", health: Circuit }

#[cfg(test)]
mod tests;
