use std::collections::BTreeMap;

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
    /// Slots, with the hashes of the ids: a slot may come to mean another endpoint.
    out: BTreeMap<u32, u64>,
}

impl Health for PluginType {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { slow: config.slow, out: BTreeMap::new() })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.out.retain(|slot, id| endpoints.get(*slot).is_some_and(|e| e.id_hash == *id));
    }

    fn probed(&mut self, _now_ms: u64, probe: &ProbeResult, endpoints: &Endpoints) -> Vec<Transition> {
        let Some(endpoint) = endpoints.get(probe.slot) else { return Vec::new() };
        let slow = u64::from(probe.took_us) > self.slow.as_millis() * 1000;
        let good = probe.passed && !slow;
        let was_out = if good {
            self.out.remove(&probe.slot).is_some()
        } else {
            self.out.insert(probe.slot, endpoint.id_hash).is_some()
        };
        if was_out != good {
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
