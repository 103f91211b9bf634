use std::collections::BTreeSet;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthVerdict, ProbeResult, Transition};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Good probes that take longer than this count as bad.
    slow: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { slow: Duration::from_secs(1) }
    }
}

/// One probe decides.
pub struct PluginType {
    slow: Duration,
    out: BTreeSet<u32>,
}

impl Health for PluginType {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { slow: config.slow, out: BTreeSet::new() })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.out.retain(|slot| endpoints.get(*slot).is_some());
    }

    fn probed(&mut self, _now_ms: u64, probe: &ProbeResult, _endpoints: &Endpoints) -> Vec<Transition> {
        let slow = u64::from(probe.took_us) > self.slow.as_millis() * 1000;
        let good = probe.passed && !slow;
        let changed = if good { self.out.remove(&probe.slot) } else { self.out.insert(probe.slot) };
        if !changed {
            return Vec::new();
        }
        let (verdict, reason) = match (good, slow) {
            (true, _) => (HealthVerdict::Healthy, "probe passed".to_owned()),
            (false, true) => (HealthVerdict::Unhealthy, format!("probe took {} us", probe.took_us)),
            (false, false) => (HealthVerdict::Unhealthy, format!("probe failed: {}", probe.detail)),
        };
        vec![Transition { slot: probe.slot, verdict, evidence: Evidence::Probe, reason }]
    }
}

plimsoll_sdk::plugin! { health: PluginType }
