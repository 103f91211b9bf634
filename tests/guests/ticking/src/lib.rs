//! Decides by how often it was ticked: a balancer goes from the first endpoint to the second with the first tick, and an affinity binds everybody
//! to the third from then on.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Answer, Binding, Duration, HeaderEdit};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    every_ms: u64,
    /// The tick that it does not survive; 0 for none.
    fails_at: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { every_ms: 100, fails_at: 0 }
    }
}

struct Ticking {
    config: Config,
    ticks: u32,
    last_ms: u64,
}

impl Ticking {
    fn new(config: Config) -> Self {
        Self { config, ticks: 0, last_ms: 0 }
    }

    fn interval(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.config.every_ms))
    }

    fn tick(&mut self, now_ms: u64, role: &str) {
        self.ticks = self.ticks.saturating_add(1);
        assert!(self.ticks != self.config.fails_at, "tick {} is too much", self.ticks);
        let apart = now_ms.saturating_sub(self.last_ms);
        if self.last_ms > 0 {
            host::gauge(&format!("{role}_apart_ms"), apart as f64);
        }
        self.last_ms = now_ms;
        host::gauge(&format!("{role}_ticks"), self.ticks.into());
    }
}

struct ByTicks(Ticking);

impl Balancer for ByTicks {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(Ticking::new(config)))
    }

    fn tick_interval(&self) -> Option<Duration> {
        self.0.interval()
    }

    fn tick(&mut self, now_ms: u64, _: &Endpoints) {
        self.0.tick(now_ms, "balancer");
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let first = usize::from(self.0.ticks > 0);
        let mut in_order = (first..first + ready.len()).map(|at| &ready[at % ready.len()]);
        in_order.find(|endpoint| !request.is_tried(endpoint.slot)).or(ready.first()).map(|e| Choice::slot(e.slot))
    }
}

struct BindsByTicks(Ticking);

impl Affinity for BindsByTicks {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self(Ticking::new(config)))
    }

    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    fn tick_interval(&self) -> Option<Duration> {
        self.0.interval()
    }

    fn tick(&mut self, now_ms: u64, _: &Endpoints) {
        self.0.tick(now_ms, "affinity");
    }

    fn find(&mut self, _: &Request<'_>, endpoints: &Endpoints) -> Binding {
        match endpoints.ready().get(2) {
            Some(third) if self.0.ticks > 0 => Binding::Bound(third.slot),
            _ => Binding::Unbound,
        }
    }

    fn bind(&mut self, _: &Request<'_>, _: &Answer<'_>, _: &Endpoints) -> Vec<HeaderEdit> {
        Vec::new()
    }
}

plimsoll_sdk::plugin! { balancer: ByTicks, affinity: BindsByTicks }
