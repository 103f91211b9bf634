//! Whoever fails in a row, or more than the others do, is ejected for a while: the detectors of Envoy's outlier detection.
//! Probes count as with `thresholds`; either opinion alone is enough to keep an endpoint out.

mod config;
mod origin;
mod record;
mod statistics;

pub use config::Config;
use config::{Rules, Sweep};
use judgement::{TICK_MS, follow};
use origin::Origin;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthPlan, HealthVerdict, ProbeResult, Sorted, Transition};
use record::Record;
use statistics::Rate;

/// Compares endpoints with each other.
#[derive(Debug)]
pub struct Outlier {
    rules: Rules,
    records: Sorted<u32, Record>,
    /// When the endpoints are compared next; none before the clock is known.
    sweep_ms: Option<u64>,
}

impl Health for Outlier {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { rules: config.check()?, records: Sorted::new(), sweep_ms: None })
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

    fn probed(&mut self, now_ms: u64, probe: &ProbeResult, _endpoints: &Endpoints) -> Vec<Transition> {
        let Some(record) = self.records.get_mut(&probe.slot) else { return Vec::new() };
        let ejected = record.ejections.is_out();
        let ends = ejected && probe.passed && self.rules.probe_ends_ejection;
        if ends {
            record.ejections.end(now_ms);
            record.forget();
        }
        let held = record.ejections.is_out();
        let heard = record.probing.hear(probe, &self.rules.probes, held);
        let back = (ends && heard.is_none() && !record.probing.is_out()).then(|| Transition {
            slot: probe.slot,
            verdict: HealthVerdict::Healthy,
            evidence: Evidence::Probe,
            reason: "a probe passed, which ends its ejection".to_owned(),
        });
        heard.or(back).into_iter().collect()
    }

    fn outcomes(&mut self, now_ms: u64, outcomes: &[Outcome], _endpoints: &Endpoints) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for outcome in outcomes {
            let Some(record) = self.records.get_mut(&outcome.slot) else { continue };
            let Some(why) = record.hear(outcome, &self.rules) else { continue };
            transitions.push(eject(outcome.slot, record, now_ms, &self.rules, why));
        }
        transitions
    }

    fn tick(&mut self, now_ms: u64, _endpoints: &Endpoints) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for (slot, record) in self.records.iter_mut() {
            if record.ejections.is_over(now_ms) {
                record.forget();
                if !record.probing.is_out() {
                    transitions.push(Transition {
                        slot: *slot,
                        verdict: HealthVerdict::Healthy,
                        evidence: Evidence::Traffic,
                        reason: "ejection is over".to_owned(),
                    });
                }
            }
        }
        let interval_ms = self.rules.interval_ms;
        // A clock that was set back puts it off for one interval at the most.
        let due_ms = self.sweep_ms.unwrap_or(now_ms + interval_ms).min(now_ms + interval_ms);
        self.sweep_ms = Some(due_ms);
        if now_ms >= due_ms {
            self.sweep_ms = Some(now_ms + interval_ms);
            transitions.extend(self.sweep(now_ms));
        }
        transitions
    }
}

impl Outlier {
    /// Compares the endpoints by what came of their requests since the last time.
    fn sweep(&mut self, now_ms: u64) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for origin in [Origin::Any, Origin::Local] {
            let Sweep { success_rate, failure_percentage } = self.rules.sweep(origin);
            let rates = |minimum: u64| -> Vec<Rate> {
                let seen = self.records.iter().filter(|(_, record)| !record.ejections.is_out());
                seen.filter_map(|(slot, record)| record.tally(origin).rate(*slot, minimum)).collect()
            };
            let mut out: Vec<(u32, String)> = Vec::new();
            if let Some(rule) = success_rate {
                out.extend(rule.outliers(&rates(rule.minimum_requests)));
            }
            if let Some(rule) = failure_percentage {
                out.extend(rule.outliers(&rates(rule.minimum_requests)));
            }
            for (slot, why) in out {
                let Some(record) = self.records.get_mut(&slot).filter(|record| !record.ejections.is_out()) else {
                    continue;
                };
                transitions.push(eject(slot, record, now_ms, &self.rules, why));
            }
        }
        for (_, record) in self.records.iter_mut() {
            record.new_interval();
            record.ejections.forgive(now_ms, self.rules.interval_ms);
        }
        transitions
    }
}

fn eject(slot: u32, record: &mut Record, now_ms: u64, rules: &Rules, why: String) -> Transition {
    record.forget();
    let span = Duration::from_millis(record.ejections.begin(now_ms, &rules.ejection));
    Transition {
        slot,
        verdict: HealthVerdict::Unhealthy,
        evidence: Evidence::Traffic,
        reason: format!("{why}, ejected for {span}"),
    }
}

plimsoll_sdk::plugin! { summary: "ejects endpoints that fail more than the others, as Envoy's outlier detection does", health: Outlier }

#[cfg(test)]
mod tests;
