//! From what was written to what it means, with every mistake at once.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use plimsoll_lab as lab;
use serde_json::Value;

use super::choice::Choice;
use super::clients::Kind;
use super::schema;
use crate::config::{self, ConfigErrors, FineSpan};
use crate::plugin::Role;

/// A scenario, with the text that it was made from and what it wants compared.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub scenario: lab::Scenario,
    /// What proxies do about attempts that fail, each to be compared with the others.
    pub variants: Vec<Variant>,
    /// Who divides the endpoints, the outermost first.
    pub partitioners: Vec<Choice>,
    /// Who binds clients.
    pub affinity: Option<Choice>,
    pub kinds: Vec<Kind>,
    pub text: String,
    pub balancers: Vec<String>,
}

/// What proxies do about attempts that fail or are late.
#[derive(Clone, Debug)]
pub struct Variant {
    pub max_attempts: Option<u32>,
    pub resilience: lab::Resilience,
    /// Who ejects endpoints.
    pub evaluator: Option<Choice>,
}

/// What the command line says otherwise than the scenario.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub seed: Option<u64>,
    pub duration: Option<Duration>,
    pub load: Option<f64>,
    /// In the place of those of the scenario.
    pub endpoints: Vec<lab::Endpoint>,
}

/// Requests that a run may have: beyond, it would take hours.
const MOST_REQUESTS: f64 = 20_000_000.0;
/// Workers of all proxies; each has an instance of the plugin.
pub(super) const MOST_WORKERS: u32 = 256;
const LONGEST: Duration = Duration::from_secs(86_400);

/// Reads a scenario; `path` is where its text comes from, `name` what it is called.
pub(super) fn scenario(text: &str, path: &Path, name: &str, overrides: &Overrides) -> Result<Prepared, ConfigErrors> {
    let (file, source) = config::read::<schema::File>(text, &path.display().to_string())?;
    let mut check = Check { mistakes: Vec::new(), directory: path.parent().unwrap_or_else(|| Path::new("")) };
    let scenario = check.scenario(&file, name, overrides);
    let variants = file.resilience.iter().enumerate().map(|(place, written)| check.variant(place, written, &file));
    let variants = variants.collect();
    let (partitioners, affinity) = (check.partitioners(&file), check.affinity(&file));
    let kinds = check.kinds(&file.requests);
    if !check.mistakes.is_empty() {
        return Err(source.errors(check.mistakes));
    }
    let (text, balancers) = (text.to_owned(), file.balancers);
    Ok(Prepared { scenario, variants, partitioners, affinity, kinds, text, balancers })
}

struct Check<'a> {
    /// JSON Pointers, and what is wrong there.
    mistakes: Vec<(String, String)>,
    directory: &'a Path,
}

impl Check<'_> {
    fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.mistakes.push((path.into(), message.into()));
    }

    fn scenario(&mut self, file: &schema::File, name: &str, overrides: &Overrides) -> lab::Scenario {
        let duration_us = overrides.duration.map_or_else(
            || self.micros("/duration", file.duration, Duration::from_millis(1)),
            |duration| duration.as_micros() as u64,
        );
        let written_us = micros(file.duration).max(1);
        // A run that is made shorter or longer happens faster or slower.
        let stretched = |us: u64| (us as f64 * duration_us as f64 / written_us as f64) as u64;
        let endpoints =
            if overrides.endpoints.is_empty() { self.endpoints(&file.endpoints) } else { overrides.endpoints.clone() };
        let mut scenario = lab::Scenario {
            name: name.to_owned(),
            title: if file.title.is_empty() { "a scenario".to_owned() } else { file.title.clone() },
            seed: overrides.seed.unwrap_or(file.seed),
            duration_us,
            warm_up_us: stretched(micros(file.warm_up)),
            proxies: file.proxies,
            workers: file.workers,
            max_attempts: file.max_attempts,
            resilience: lab::Resilience::default(),
            timeout_us: self.micros("/timeout", file.timeout, Duration::from_micros(1)),
            works_on_abandoned: file.abandoned_work,
            queue_timeout_us: micros(file.queue_timeout),
            notice_us: file.health_notices_after.map(micros),
            slow_start_us: file.slow_start.map_or(0, micros),
            events: self.events(&file.events, &endpoints, written_us, !overrides.endpoints.is_empty()),
            endpoints,
            arrivals: lab::Arrivals::Poisson { rate: 1.0 },
            service: self.service(&file.service),
            keys: self.keys(file.keys.as_ref()),
            zones: file.zones.clone(),
            other_zone_us: file.other_zone_latency.map_or(0, micros),
            memory: file.memory.as_ref().and_then(|memory| {
                let keys = NonZeroUsize::try_from(memory.keys).ok()?;
                Some(lab::Memory { keys, miss_factor: memory.miss_factor })
            }),
            kinds: file.requests.iter().map(|kind| kind.share).collect(),
        };
        scenario.events.iter_mut().for_each(|event| event.at_us = stretched(event.at_us));
        if scenario.warm_up_us >= scenario.duration_us {
            self.wrong("/warm_up", "nothing is left of the duration");
        }
        if scenario.capacity() <= 0.0 {
            self.wrong("/events", "no endpoint is there at the beginning");
        }
        let companions = file.partitioners.len() as u32 + u32::from(file.affinity.is_some());
        let most = MOST_WORKERS / (1 + companions);
        if file.proxies * file.workers > most {
            let beside = if companions > 0 { " with so many plugins" } else { "" };
            let message = format!("{} workers in all; at most {most}{beside}", file.proxies * file.workers);
            self.wrong("/proxies", message);
        }
        for (path, needs_keys) in [("/affinity", file.affinity.is_some()), ("/memory", file.memory.is_some())] {
            if needs_keys && file.keys.is_none() && file.arrivals.recorded.is_none() {
                self.wrong(path, "there are no `keys`, by which clients are told apart");
            }
        }
        if file.other_zone_latency.is_some() && file.zones.is_empty() {
            self.wrong("/other_zone_latency", "nobody knows in which of the `zones` the proxies are");
        }
        scenario.arrivals = self.arrivals(&file.arrivals, overrides.load, scenario.capacity());
        if scenario.requests() > MOST_REQUESTS {
            let message = format!("{:.0} requests in all; at most {MOST_REQUESTS:.0}", scenario.requests());
            self.wrong("/arrivals", message);
        }
        scenario
    }

    fn variant(&mut self, place: usize, written: &schema::Resilience, file: &schema::File) -> Variant {
        let evaluator = written.evaluator.as_ref().and_then(|evaluator| {
            let chosen = Choice::other("evaluator", Role::Health, &evaluator.plugin, &evaluator.config);
            let chosen = chosen.map_err(|message| self.wrong(format!("/resilience/{place}/evaluator/plugin"), message));
            if file.proxies > 1 {
                let message = "each proxy ejects endpoints for itself, which is simulated of one proxy alone";
                self.wrong(format!("/resilience/{place}/evaluator"), message);
            }
            chosen.ok()
        });
        Variant { max_attempts: written.max_attempts, resilience: resilience(written), evaluator }
    }

    fn partitioners(&mut self, file: &schema::File) -> Vec<Choice> {
        let mut chosen = Vec::new();
        for (place, used) in file.partitioners.iter().enumerate() {
            match Choice::other("partitioner", Role::Partitioner, &used.plugin, &used.config) {
                Ok(choice) => chosen.push(choice),
                Err(message) => self.wrong(format!("/partitioners/{place}/plugin"), message),
            }
        }
        chosen
    }

    fn affinity(&mut self, file: &schema::File) -> Option<Choice> {
        let used = file.affinity.as_ref()?;
        let chosen = Choice::other("affinity", Role::Affinity, &used.plugin, &used.config);
        chosen.map_err(|message| self.wrong("/affinity/plugin", message)).ok()
    }

    fn kinds(&mut self, written: &[schema::Kind]) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for (place, kind) in written.iter().enumerate() {
            let mut headers = Vec::new();
            for (name, value) in &kind.headers {
                match (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                    (Ok(name), Ok(value)) => headers.push((name, value)),
                    _ => self.wrong(format!("/requests/{place}/headers/{name}"), "no header can be like this"),
                }
            }
            kinds.push(Kind { headers });
        }
        kinds
    }

    fn micros(&mut self, path: &str, span: FineSpan, least: Duration) -> u64 {
        if span.0 < least || span.0 > LONGEST {
            self.wrong(path, format!("expected {least:?} to 24h, found {:?}", span.0));
        }
        micros(span)
    }

    fn endpoints(&mut self, groups: &[schema::Endpoints]) -> Vec<lab::Endpoint> {
        let mut endpoints: Vec<lab::Endpoint> = Vec::new();
        let mut ids = HashSet::new();
        for (place, group) in groups.iter().enumerate() {
            for number in 0..group.count {
                let id = match &group.id {
                    Some(id) if group.count == 1 => id.clone(),
                    Some(id) => format!("{id}{}", number + 1),
                    None => format!("e{}", endpoints.len()),
                };
                if !ids.insert(id.clone()) {
                    self.wrong(format!("/endpoints/{place}"), format!("there is another endpoint `{id}`"));
                }
                endpoints.push(lab::Endpoint {
                    id,
                    weight: group.weight,
                    priority: group.priority,
                    max_connections: group.max_connections,
                    concurrency: group.concurrency,
                    speed: group.speed,
                    zone: group.zone.clone(),
                    metadata: group.metadata.clone().into_iter().collect(),
                });
            }
        }
        if endpoints.len() > 1000 {
            self.wrong("/endpoints", format!("{} endpoints; at most 1000", endpoints.len()));
        }
        endpoints
    }

    fn arrivals(&mut self, arrivals: &schema::Arrivals, load: Option<f64>, capacity: f64) -> lab::Arrivals {
        match (&arrivals.poisson, &arrivals.bursty, &arrivals.recorded) {
            (Some(poisson), None, None) => {
                let rate = self.rate("/arrivals/poisson", poisson.rate, load.or(poisson.load), capacity);
                lab::Arrivals::Poisson { rate }
            }
            (None, Some(bursty), None) => {
                let rate = self.rate("/arrivals/bursty", bursty.rate, load.or(bursty.load), capacity);
                let millisecond = Duration::from_millis(1);
                let calm_us = self.micros("/arrivals/bursty/calm", bursty.calm, millisecond);
                let burst_us = self.micros("/arrivals/bursty/burst", bursty.burst, millisecond);
                let (calm, burst) = (calm_us as f64, burst_us as f64);
                let calm_rate = rate * (calm + burst) / (calm + burst * bursty.times);
                lab::Arrivals::Bursty { calm_rate, burst_rate: calm_rate * bursty.times, calm_us, burst_us }
            }
            (None, None, Some(recorded)) => {
                if load.is_some() {
                    self.wrong("/arrivals/recorded", "a recording has its own rate, --load cannot change it");
                }
                self.recorded(&recorded.file)
            }
            _ => {
                self.wrong("/arrivals", "expected one of poisson, bursty, recorded");
                lab::Arrivals::Poisson { rate: 1.0 }
            }
        }
    }

    /// The load of the command line stands above the rate that is written.
    fn rate(&mut self, path: &str, rate: Option<f64>, load: Option<f64>, capacity: f64) -> f64 {
        match (rate, load) {
            (_, Some(load)) if load > 0.0 => load * capacity,
            (Some(rate), None) => rate,
            _ => {
                self.wrong(path, "expected rate, or load");
                1.0
            }
        }
    }

    fn recorded(&mut self, file: &str) -> lab::Arrivals {
        let path = self.directory.join(file);
        let read = config::read_file(&path).map_err(|errors| errors.to_string()).and_then(|text| {
            let unreadable = |wrong: lab::recording::Unreadable| format!("{file}:{}: {}", wrong.line, wrong.message);
            lab::recording::parse(&text).map_err(unreadable)
        });
        let records = read.unwrap_or_else(|message| {
            self.wrong("/arrivals/recorded/file", message);
            Vec::new()
        });
        lab::Arrivals::Recorded(Arc::from(records))
    }

    fn service(&mut self, service: &schema::Service) -> lab::Service {
        let least = Duration::from_micros(1);
        match (service.constant, &service.exponential, &service.lognormal, &service.pareto) {
            (Some(constant), None, None, None) => {
                lab::Service::Constant { us: self.micros("/service/constant", constant, least) as f64 }
            }
            (None, Some(exponential), None, None) => lab::Service::Exponential {
                mean_us: self.micros("/service/exponential/mean", exponential.mean, least) as f64,
            },
            (None, None, Some(lognormal), None) => lab::Service::LogNormal {
                median_us: self.micros("/service/lognormal/median", lognormal.median, least) as f64,
                sigma: lognormal.sigma,
            },
            (None, None, None, Some(pareto)) => {
                let least_us = self.micros("/service/pareto/least", pareto.least, least);
                let most_us = self.micros("/service/pareto/most", pareto.most, least);
                if most_us <= least_us {
                    self.wrong("/service/pareto/most", "expected more than `least`");
                }
                lab::Service::Pareto { least_us: least_us as f64, most_us: most_us as f64, shape: pareto.shape }
            }
            _ => {
                self.wrong("/service", "expected one of constant, exponential, lognormal, pareto");
                lab::Service::Constant { us: 1000.0 }
            }
        }
    }

    fn keys(&mut self, keys: Option<&schema::Keys>) -> lab::Keys {
        let Some(keys) = keys else { return lab::Keys::None };
        match (&keys.uniform, &keys.zipf) {
            (Some(uniform), None) => lab::Keys::Uniform { count: uniform.count },
            (None, Some(zipf)) => lab::Keys::Zipf { count: zipf.count, exponent: zipf.exponent },
            _ => {
                self.wrong("/keys", "expected one of uniform, zipf");
                lab::Keys::None
            }
        }
    }

    /// `are_others`: the endpoints are not those that the scenario was written for.
    fn events(
        &mut self,
        events: &[schema::Event],
        endpoints: &[lab::Endpoint],
        duration_us: u64,
        are_others: bool,
    ) -> Vec<lab::Event> {
        let mut checked: Vec<lab::Event> = events
            .iter()
            .enumerate()
            .filter_map(|(place, event)| self.event(place, event, endpoints, duration_us, are_others))
            .collect();
        checked.sort_by_key(|event| event.at_us);
        checked
    }

    fn event(
        &mut self,
        place: usize,
        event: &schema::Event,
        endpoints: &[lab::Endpoint],
        duration_us: u64,
        are_others: bool,
    ) -> Option<lab::Event> {
        let path = |key: &str| format!("/events/{place}/{key}");
        let count = endpoints.len() as u64;
        let slot = match &event.endpoint {
            // Of fewer endpoints than the scenario was made for, it happens to another one.
            Value::Number(number) if are_others => number.as_u64().map(|number| number % count.max(1)),
            Value::Number(number) => number.as_u64().filter(|number| *number < count),
            Value::String(id) => endpoints.iter().position(|endpoint| endpoint.id == *id).map(|slot| slot as u64),
            _ => None,
        };
        if slot.is_none() {
            let message = format!("no endpoint {}; there are {}", event.endpoint, endpoints.len());
            self.wrong(path("endpoint"), message);
        }
        if micros(event.at) >= duration_us {
            self.wrong(path("at"), "after the end");
        }
        let what = match (event.what, event.factor) {
            (schema::What::Slow, Some(factor)) => lab::What::Slow { factor },
            (schema::What::Slow, None) => {
                self.wrong(path("what"), "`slow` needs a `factor`");
                return None;
            }
            (_, Some(_)) => {
                self.wrong(path("factor"), "only `slow` has a factor");
                return None;
            }
            (schema::What::Error, None) => lab::What::Error,
            (schema::What::Refuse, None) => lab::What::Refuse,
            (schema::What::Hang, None) => lab::What::Hang,
            (schema::What::Recover, None) => lab::What::Recover,
            (schema::What::Join, None) => lab::What::Join,
            (schema::What::Leave, None) => lab::What::Leave,
        };
        Some(lab::Event { at_us: micros(event.at), slot: u32::try_from(slot?).ok()?, what })
    }
}

fn resilience(written: &schema::Resilience) -> lab::Resilience {
    let on = |failure| written.on.contains(&failure);
    let mut policy = lab::Policy { hedge_after: written.hedge_after.map(|after| after.0), ..lab::Policy::default() };
    policy.on.connect = on(schema::RetryOn::Refuse);
    policy.on.timeout = on(schema::RetryOn::Timeout);
    if on(schema::RetryOn::Error) {
        policy.on.statuses = [lab::ERROR].into();
    }
    policy.budget.percent = written.budget_percent;
    if written.budget_percent == 100 {
        policy.budget.min = u32::MAX;
    }
    // What may not be sent twice is not hedged, nor tried again after anything but a refusal.
    let idempotent = on(schema::RetryOn::Timeout) || on(schema::RetryOn::Error) || policy.hedge_after.is_some();
    let concurrency = written.adaptive_concurrency.then(lab::Terms::default);
    let ejection = lab::EjectionBounds { max_percent: written.max_ejected_percent, min_available: LEAST_AVAILABLE };
    let ejection = written.evaluator.as_ref().map(|_| ejection);
    lab::Resilience { name: written.name.clone(), policy, idempotent, concurrency, ejection }
}

/// As clusters have it unless configured otherwise.
const LEAST_AVAILABLE: u32 = 1;

fn micros(span: FineSpan) -> u64 {
    u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX)
}
