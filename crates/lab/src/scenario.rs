use std::num::NonZeroUsize;
use std::sync::Arc;

use plimsoll_resilience::{EjectionBounds, Policy, Terms};

use crate::numbers::{exp, pow};
use crate::recording::Record;

/// A cluster, its traffic, and what happens to it. Times are microseconds of simulated time.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called in reports.
    pub name: String,
    /// What it shows, in one sentence.
    pub title: String,
    /// All randomness follows from it.
    pub seed: u64,
    pub duration_us: u64,
    /// Requests that come before are not counted.
    pub warm_up_us: u64,
    pub proxies: u32,
    /// Of each proxy.
    pub workers: u32,
    /// Endpoints that a request is tried at.
    pub max_attempts: u32,
    pub resilience: Resilience,
    /// An attempt without an answer by then has failed.
    pub timeout_us: u64,
    /// Endpoints do not notice when nobody waits for an answer any more, and work on it all the same.
    pub works_on_abandoned: bool,
    /// How long a request may wait while all endpoints are full.
    pub queue_timeout_us: u64,
    /// After how long the proxies know that an endpoint fails, or is well again; never if none.
    pub notice_us: Option<u64>,
    /// How long an endpoint warms up that comes or is well again.
    pub slow_start_us: u64,
    /// Their places are their slots.
    pub endpoints: Vec<Endpoint>,
    /// Where the proxies run, in turn. Without any nobody knows.
    pub zones: Vec<String>,
    /// How much longer an answer takes from an endpoint in another zone than the proxy's.
    pub other_zone_us: u64,
    /// What endpoints keep of what they were asked for, if they do.
    pub memory: Option<Memory>,
    pub arrivals: Arrivals,
    pub service: Service,
    pub keys: Keys,
    /// Shares of the kinds of requests that there are; none if all are alike.
    pub kinds: Vec<f64>,
    /// In the order of time.
    pub events: Vec<Event>,
}

/// What proxies do about attempts that fail or are late.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resilience {
    /// What it is called where several are compared.
    pub name: String,
    pub policy: Policy,
    /// Whether requests may be sent twice.
    pub idempotent: bool,
    /// How each proxy finds how many attempts may be under way, if it does.
    pub concurrency: Option<Terms>,
    /// How many endpoints the evaluator may eject, if there is one.
    pub ejection: Option<EjectionBounds>,
}

/// A server: so many places where work is done, and a queue in front of them.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: String,
    pub weight: u32,
    pub priority: u32,
    /// Attempts that one proxy may have under way there; 0 is no bound.
    pub max_connections: u32,
    /// Requests that it works on at a time.
    pub concurrency: u32,
    /// How fast it works; twice the speed is half the time.
    pub speed: f64,
    /// Where it runs; empty if nobody says.
    pub zone: String,
    pub metadata: Vec<(String, String)>,
}

/// Endpoints answer sooner what they have in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Keys that an endpoint has room for: those that it was asked for last.
    pub keys: NonZeroUsize,
    /// How many times as long a request takes whose key is not there.
    pub miss_factor: f64,
}

/// When requests come.
#[derive(Clone, Debug)]
pub enum Arrivals {
    /// Independently of each other, so many a second.
    Poisson { rate: f64 },
    /// As Poisson, with two rates that take turns; each lasts for an exponentially distributed time of its mean.
    Bursty { calm_rate: f64, burst_rate: f64, calm_us: u64, burst_us: u64 },
    /// As they came.
    Recorded(Arc<[Record]>),
}

/// How long a request keeps an endpoint of speed 1 busy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Service {
    Constant {
        us: f64,
    },
    Exponential {
        mean_us: f64,
    },
    LogNormal {
        median_us: f64,
        sigma: f64,
    },
    /// Pareto's law between two bounds; the smaller the shape, the heavier the tail.
    Pareto {
        least_us: f64,
        most_us: f64,
        shape: f64,
    },
}

/// What requests are hashed by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Keys {
    None,
    Uniform {
        count: u32,
    },
    /// The key of rank r comes in proportion to r to the power of minus the exponent.
    Zipf {
        count: u32,
        exponent: f64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    pub at_us: u64,
    /// Slot of the endpoint that it happens to.
    pub slot: u32,
    pub what: What,
}

/// What happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// Everything that it begins from now on takes so many times as long.
    Slow { factor: f64 },
    /// It answers at once, with errors.
    Error,
    /// It refuses connections.
    Refuse,
    /// It takes requests and answers none.
    Hang,
    /// It works again as it should.
    Recover,
    /// It becomes an endpoint of the cluster. One whose first event this is was none before.
    Join,
    /// It is no endpoint of the cluster any more; what it has begun it ends.
    Leave,
}

impl What {
    /// Whether it changes which endpoints there are.
    pub(crate) fn is_of_membership(self) -> bool {
        matches!(self, Self::Join | Self::Leave)
    }

    /// As a verb.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Slow { .. } => "slows down",
            Self::Error => "answers errors",
            Self::Refuse => "refuses",
            Self::Hang => "hangs",
            Self::Recover => "recovers",
            Self::Join => "joins",
            Self::Leave => "leaves",
        }
    }
}

impl Scenario {
    /// Whether a proxy and an endpoint are known to be in different zones.
    pub(crate) fn is_far(&self, proxy: usize, slot: u32) -> bool {
        let (Some(zone), Some(endpoint)) =
            (self.zones.get(proxy % self.zones.len().max(1)), self.endpoints.get(slot as usize))
        else {
            return false;
        };
        !endpoint.zone.is_empty() && endpoint.zone != *zone
    }

    /// Whether an endpoint is a member when the simulation begins.
    pub(crate) fn is_there_at_first(&self, slot: u32) -> bool {
        let mut of_membership = self.events.iter().filter(|event| event.slot == slot && event.what.is_of_membership());
        of_membership.next().is_none_or(|first| first.what != What::Join)
    }

    /// Requests a second that the endpoints of the beginning could just do, all working all the time.
    pub fn capacity(&self) -> f64 {
        let places: f64 = (0..)
            .zip(&self.endpoints)
            .filter(|(slot, _)| self.is_there_at_first(*slot))
            .map(|(_, endpoint)| f64::from(endpoint.concurrency) * endpoint.speed)
            .sum();
        places * 1e6 / self.service.mean_us()
    }

    /// Requests a second, in the mean.
    pub fn rate(&self) -> f64 {
        match &self.arrivals {
            Arrivals::Poisson { rate } => *rate,
            Arrivals::Bursty { calm_rate, burst_rate, calm_us, burst_us } => {
                let (calm, burst) = (*calm_us as f64, *burst_us as f64);
                (calm_rate * calm + burst_rate * burst) / (calm + burst)
            }
            Arrivals::Recorded(records) => {
                let last_us = records.last().map_or(0, |record| record.at_us).min(self.duration_us).max(1);
                let within = records.partition_point(|record| record.at_us < self.duration_us);
                within as f64 * 1e6 / last_us as f64
            }
        }
    }

    /// Requests that are to be expected in all.
    pub fn requests(&self) -> f64 {
        self.rate() * self.duration_us as f64 / 1e6
    }
}

impl Service {
    pub fn mean_us(&self) -> f64 {
        match *self {
            Self::Constant { us } => us,
            Self::Exponential { mean_us } => mean_us,
            Self::LogNormal { median_us, sigma } => median_us * exp(sigma * sigma / 2.0),
            Self::Pareto { least_us, most_us, shape } => bounded_pareto_mean(least_us, most_us, shape),
        }
    }
}

fn bounded_pareto_mean(least: f64, most: f64, shape: f64) -> f64 {
    let ratio = least / most;
    let within = 1.0 - pow(ratio, shape);
    if (shape - 1.0).abs() < 1e-9 {
        return least * crate::numbers::ln(most / least) / within;
    }
    shape * least / (shape - 1.0) * (1.0 - pow(ratio, shape - 1.0)) / within
}
