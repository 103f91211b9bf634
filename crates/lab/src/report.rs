use serde::Serialize;

use crate::results::Measured;
use crate::scenario::{Arrivals, Keys, Scenario, Service};
use crate::words::{duration, grouped, share};

/// Version of the shape of a report as JSON: it grows when a field goes or means something else. Fields may be added.
pub const SHAPE: u32 = 1;

/// Balancers in one scenario, beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub shape: u32,
    pub scenario: Setting,
    /// The best first.
    pub balancers: Vec<Entry>,
    /// The one that the others are compared with, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The command line that makes the same again.
    pub command: String,
}

/// What all of them were given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    pub name: String,
    pub title: String,
    pub seed: u64,
    pub duration_us: u64,
    pub warm_up_us: u64,
    pub requests_per_second: f64,
    /// Share of what the endpoints could do; above 1 they cannot.
    pub load: f64,
    pub has_keys: bool,
    /// The rest in words.
    pub facts: Vec<String>,
    pub events: Vec<Mark>,
    /// The scenario as it was written.
    pub text: String,
}

/// Something that happens, on a line of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    pub at_us: u64,
    pub what: String,
    /// Place of the endpoint among those of the report.
    pub endpoint: usize,
}

/// One balancer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    pub name: String,
    /// Its configuration as JSON.
    pub config: String,
    /// Its p99 as a ratio to that of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_baseline: Option<f64>,
    /// Processor time of one choice, where that was measured, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice_ns: Option<u64>,
    #[serde(flatten)]
    pub measured: Measured,
}

impl Entry {
    pub fn new(name: String, config: String, measured: Measured) -> Self {
        Self { name, config, to_baseline: None, choice_ns: None, measured }
    }
}

impl Report {
    /// `text` is the scenario as it was written.
    pub fn new(scenario: &Scenario, text: &str, command: String, mut balancers: Vec<Entry>) -> Self {
        balancers.sort_by(|one, other| rank(one).cmp(&rank(other)));
        Self { shape: SHAPE, scenario: Setting::of(scenario, text), balancers, baseline: None, command }
    }

    /// Compares all with the one of this name. False if there is none, or nothing to compare with since too much of its failed.
    #[must_use]
    pub fn compare_with(&mut self, name: &str) -> bool {
        let baseline = self.balancers.iter().find(|entry| entry.name == name);
        let Some(p99) = baseline.and_then(|entry| entry.measured.latency_us.p99) else { return false };
        for entry in &mut self.balancers {
            entry.to_baseline = entry.measured.latency_us.p99.map(|own| own as f64 / p99.max(1) as f64);
        }
        self.baseline = Some(name.to_owned());
        true
    }
}

/// What a balancer is judged by: slow answers first, since those are what is felt; then the failures, then the rest.
fn rank(entry: &Entry) -> (u64, u64, u64, u64, &str) {
    let latency = &entry.measured.latency_us;
    let or_last = |us: Option<u64>| us.unwrap_or(u64::MAX);
    (or_last(latency.p99), or_last(latency.p999), entry.measured.failed.total, or_last(latency.p50), &entry.name)
}

impl Setting {
    fn of(scenario: &Scenario, text: &str) -> Self {
        let rate = scenario.rate();
        let marks = scenario.events.iter().map(|event| Mark {
            at_us: event.at_us,
            what: event.what.describe(scenario.endpoints.get(event.slot as usize).map_or("", |endpoint| &endpoint.id)),
            endpoint: event.slot as usize,
        });
        Self {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            seed: scenario.seed,
            duration_us: scenario.duration_us,
            warm_up_us: scenario.warm_up_us,
            requests_per_second: rate,
            load: rate / scenario.capacity(),
            has_keys: scenario.keys != Keys::None,
            facts: facts(scenario),
            events: marks.collect(),
            text: text.to_owned(),
        }
    }
}

fn facts(scenario: &Scenario) -> Vec<String> {
    let rate = scenario.rate();
    let places: u32 = scenario.endpoints.iter().map(|endpoint| endpoint.concurrency).sum();
    let mut facts = vec![
        format!("{} endpoints, {places} requests at a time", scenario.endpoints.len()),
        format!(
            "{} requests/s{}, {} of what they can do",
            grouped(rate.round() as u64),
            match &scenario.arrivals {
                Arrivals::Poisson { .. } => String::new(),
                Arrivals::Bursty { burst_rate, .. } =>
                    format!(" in the mean, {} in bursts", grouped(burst_rate.round() as u64)),
                Arrivals::Recorded(_) => " as recorded".to_owned(),
            },
            share(rate / scenario.capacity()),
        ),
        match scenario.service {
            Service::Constant { us } => format!("each takes {}", duration(us as u64)),
            Service::Exponential { mean_us } => format!("exponential service times, mean {}", duration(mean_us as u64)),
            Service::LogNormal { median_us, sigma } => {
                format!("log-normal service times, median {}, σ {sigma}", duration(median_us as u64))
            }
            Service::Pareto { least_us, most_us, shape } => {
                format!(
                    "Pareto service times, {} to {}, α {shape}",
                    duration(least_us as u64),
                    duration(most_us as u64)
                )
            }
        },
        match scenario.proxies {
            1 => format!("{} workers", scenario.workers),
            proxies => format!("{proxies} proxies of {} workers", scenario.workers),
        },
    ];
    match scenario.keys {
        Keys::None => {}
        Keys::Uniform { count } => facts.push(format!("{} keys, all alike", grouped(count.into()))),
        Keys::Zipf { count, exponent } => facts.push(format!("{} keys, Zipf {exponent}", grouped(count.into()))),
    }
    facts.push(format!(
        "{} after {} of warm-up",
        duration(scenario.duration_us - scenario.warm_up_us),
        duration(scenario.warm_up_us)
    ));
    facts.extend(surroundings(scenario));
    facts.push(format!("seed {}", scenario.seed));
    facts
}

/// Where they are, and what they remember.
fn surroundings(scenario: &Scenario) -> Vec<String> {
    let mut facts = Vec::new();
    if !scenario.zones.is_empty() {
        let way = match scenario.other_zone_us {
            0 => String::new(),
            us => format!(", {} longer to another zone", duration(us)),
        };
        facts.push(format!("proxies in {}{way}", scenario.zones.join(", ")));
    }
    if let Some(memory) = scenario.memory {
        let keys = grouped(memory.keys.get() as u64);
        facts.push(format!(
            "{keys} keys in the memory of each endpoint, others take {} times as long",
            memory.miss_factor
        ));
    }
    facts
}
