//! For servers of language models, which have the beginnings of prompts that they worked on lately in a cache: the balancer leads a prompt
//! to where one that begins alike went, unless so many requests wait there that working it out anew is sooner done. The prober asks how
//! many wait.

mod homes;
mod metrics;

use homes::Homes;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, ProbeLoad, ProbeRequest, Target, Transport};

/// What the prober reports and the balancer reads.
const QUEUE: &str = "queue";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Requests that may wait at an endpoint more than where the fewest do, before prompts go there without a cache.
    patience: u64,
    /// Beginnings of prompts that each worker remembers the endpoint of.
    #[schemars(range(min = 1, max = 65536))]
    prefixes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { patience: 4, prefixes: 16384 }
    }
}

#[derive(Debug)]
pub struct PrefixCache {
    patience: u64,
    homes: Homes,
}

const CACHED: u32 = 0;
const NEW: u32 = 1;
const SPILLED: u32 = 2;

impl Balancer for PrefixCache {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        match config.prefixes {
            1..=65536 => Ok(Self { patience: config.patience, homes: Homes::new(config.prefixes) }),
            _ => Err(ConfigErrors::at("/prefixes", "expected 1 to 65536")),
        }
    }

    fn reasons(&self) -> Vec<String> {
        ["cached", "new", "spilled"].map(str::to_owned).into()
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let fresh = || ready.iter().filter(|endpoint| !request.is_tried(endpoint.slot));
        let Some(idlest) = fresh().min_by_key(|e| (load(e.slot), host::random())) else {
            return ready.first().map(|endpoint| Choice::slot(endpoint.slot));
        };
        let bound = load(idlest.slot).saturating_add(self.patience);
        let home = request.key.and_then(|key| self.homes.get(key));
        // One that is gone has its cache gone with it.
        let home = home.and_then(|home| fresh().find(|endpoint| endpoint.id_hash == home));
        let (chosen, reason) = match home {
            Some(home) if load(home.slot) <= bound => (home, CACHED),
            Some(_) => (idlest, SPILLED),
            None => (idlest, NEW),
        };
        if let Some(key) = request.key {
            self.homes.put(key, chosen.id_hash);
        }
        Some(Choice { slot: chosen.slot, reason })
    }
}

/// Requests that an endpoint has not begun with: those that it says wait there, or where it says nothing, those under way.
fn load(slot: u32) -> u64 {
    host::reported_metric(slot, QUEUE).map_or_else(|| host::in_flight(slot).into(), |thousandths| thousandths / 1000)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Where metrics are, in the text format of Prometheus.
    path: String,
    /// The gauge of requests that wait.
    gauge: String,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self { path: "/metrics".to_owned(), gauge: "vllm:num_requests_waiting".to_owned() }
    }
}

#[derive(Debug)]
pub struct QueueProber(ProbeConfig);

impl Prober for QueueProber {
    type Config = ProbeConfig;
    type Session = ();

    fn new(config: ProbeConfig) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if !config.path.starts_with('/') || config.path.bytes().any(|byte| !byte.is_ascii_graphic()) {
            errors.push("/path", "expected a path such as /metrics");
        }
        if config.gauge.is_empty() {
            errors.push("/gauge", "expected the name of a metric");
        }
        errors.or(Self(config))
    }

    fn transport(&self) -> Transport {
        Transport::Http
    }

    fn open(&mut self, _target: &Target) -> ((), Vec<ProbeAction>) {
        let request =
            ProbeRequest { method: "GET".to_owned(), path: self.0.path.clone(), headers: Vec::new(), body: Vec::new() };
        ((), vec![ProbeAction::Exchange(request)])
    }

    fn advance(&mut self, (): &mut (), event: ProbeEvent) -> Vec<ProbeAction> {
        let ProbeEvent::Answered(answer) = event else { return vec![ProbeAction::fail("no answer")] };
        if answer.status != 200 {
            return vec![ProbeAction::fail(format!("status {}", answer.status))];
        }
        match metrics::sum(&answer.body, &self.0.gauge) {
            Some(waiting) => {
                let named = vec![(QUEUE.to_owned(), waiting.saturating_mul(1000))];
                let load = ProbeLoad {
                    cpu: 0,
                    memory: 0,
                    utilization: 0,
                    requests_per_second: 0,
                    errors_per_second: 0,
                    named,
                };
                vec![ProbeAction::Report(load), ProbeAction::pass(format!("{waiting} requests wait"))]
            }
            None => vec![ProbeAction::fail(format!("its metrics have no {}", self.0.gauge))],
        }
    }
}

plimsoll_sdk::plugin! { profiles: ["balancer/sticky"], balancer: PrefixCache, prober: QueueProber }
