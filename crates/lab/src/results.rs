use serde::Serialize;

use crate::keys::KeysMoved;
use crate::measure::{Histogram, SLICES, Span};
use crate::scenario::Scenario;
use crate::server::Server;

/// What came of one balancer in a scenario. Times are microseconds; a percentile is none when so many requests failed that
/// it falls among them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Requests that are counted.
    pub requests: u64,
    pub failed: Failed,
    /// Answers of the balancer that could not be used, where the proxy chose in its stead.
    pub faults: u64,
    pub latency_us: Latency,
    /// Highest of the ratios of what an endpoint got to what was due to it by its weight.
    pub imbalance: f64,
    /// Highest of the endpoints' utilizations: the share of its places that worked.
    pub busiest: f64,
    /// Mean of the endpoints' utilizations.
    pub utilization: f64,
    /// What changes of the endpoints did to keys; none if keys mean nothing to the balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_moved: Option<Vec<KeysMoved>>,
    /// Share of the requests that came to the endpoint that the last one of their key had come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revisits: Option<f64>,
    /// Share of the attempts that went to another zone than the proxy's; none where no zones are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_zone: Option<f64>,
    /// Share of the attempts whose key the endpoint had in memory; none where endpoints have no memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_memory: Option<f64>,
    pub endpoints: Vec<EndpointMeasured>,
    pub over_time: OverTime,
}

/// Requests that were not answered as they should, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failed {
    pub total: u64,
    /// The endpoint answered with an error.
    pub error: u64,
    /// Every endpoint that was tried refused.
    pub refused: u64,
    pub timeout: u64,
    /// All endpoints were full for too long, or too many waited already.
    pub no_room: u64,
    /// No endpoint could take it.
    pub no_endpoint: u64,
    /// More was under way than the simulation takes.
    pub overflow: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Error,
    Refused,
    Timeout,
    NoRoom,
    NoEndpoint,
    Overflow,
}

/// How long requests took from their arrival to their end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Of those that were answered.
    pub mean: Option<u64>,
    pub p50: Option<u64>,
    pub p90: Option<u64>,
    pub p99: Option<u64>,
    pub p999: Option<u64>,
    /// Of those that were answered.
    pub max: Option<u64>,
    /// Times within which shares of the requests were answered, for a curve: see [`CURVE_NINES`].
    pub curve: Vec<Option<u64>>,
}

/// Points of a curve of percentiles: that many steps for each further nine.
pub const CURVE_STEPS_PER_NINE: u32 = 8;
/// Nines that a curve reaches.
pub const CURVE_NINES: u32 = 4;

/// Shares of requests that [`Latency::curve`] has times for: 0 %, …, 90 %, …, 99 %, …
pub fn curve_shares() -> impl Iterator<Item = f64> {
    let steps = CURVE_STEPS_PER_NINE * CURVE_NINES;
    (0..=steps).map(|step| 1.0 - crate::numbers::pow(10.0, -f64::from(step) / f64::from(CURVE_STEPS_PER_NINE)))
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointMeasured {
    pub id: String,
    /// Attempts that began there.
    pub attempts: u64,
    /// Ratio of these to what was due to it by its weight, for the time that it took any; none if nothing was.
    pub share: Option<f64>,
    pub utilization: f64,
    /// Mean of the attempts under way, for each slice of time.
    pub in_flight: Vec<f32>,
}

/// What changed while time passed, in slices of equal length; by the time of arrival.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverTime {
    pub slice_us: u64,
    pub requests: Vec<u64>,
    pub failed: Vec<u64>,
    pub p50: Vec<Option<u64>>,
    pub p99: Vec<Option<u64>>,
}

/// Gathers it.
pub(crate) struct Results {
    span: Span,
    all: Histogram,
    slices: Vec<Histogram>,
    failed_in: Vec<u64>,
    failed: Failed,
    pub(crate) faults: u64,
    /// Attempts that went to another zone.
    pub(crate) far: u64,
    /// Attempts whose key was looked for in memory, and those that found it there.
    pub(crate) looked_up: u64,
    pub(crate) in_memory: u64,
}

impl Results {
    pub(crate) fn new(span: Span) -> Self {
        Self {
            span,
            all: Histogram::fine(),
            slices: vec![Histogram::coarse(); SLICES],
            failed_in: vec![0; SLICES],
            failed: Failed::default(),
            faults: 0,
            far: 0,
            looked_up: 0,
            in_memory: 0,
        }
    }

    pub(crate) fn answered(&mut self, arrived_us: u64, us: u64) {
        self.slices[self.span.slice(arrived_us)].answered(us);
        if self.span.is_counted(arrived_us) {
            self.all.answered(us);
        }
    }

    pub(crate) fn failed(&mut self, arrived_us: u64, why: Failure) {
        let slice = self.span.slice(arrived_us);
        self.slices[slice].failed();
        self.failed_in[slice] += 1;
        if !self.span.is_counted(arrived_us) {
            return;
        }
        self.all.failed();
        self.failed.total += 1;
        let of_kind = match why {
            Failure::Error => &mut self.failed.error,
            Failure::Refused => &mut self.failed.refused,
            Failure::Timeout => &mut self.failed.timeout,
            Failure::NoRoom => &mut self.failed.no_room,
            Failure::NoEndpoint => &mut self.failed.no_endpoint,
            Failure::Overflow => &mut self.failed.overflow,
        };
        *of_kind += 1;
    }

    pub(crate) fn measured(
        self,
        scenario: &Scenario,
        servers: &mut [Server],
        due: &[f64],
        keys_moved: Option<Vec<KeysMoved>>,
        revisits: Option<f64>,
    ) -> Measured {
        let endpoints: Vec<EndpointMeasured> = servers
            .iter_mut()
            .zip(&scenario.endpoints)
            .zip(due)
            .map(|((server, endpoint), due)| EndpointMeasured {
                id: endpoint.id.clone(),
                attempts: server.attempts,
                share: (*due >= 1.0).then(|| server.attempts as f64 / due),
                utilization: server.utilization(),
                in_flight: server.in_flight_over_time.slices().into_iter().map(|mean| mean as f32).collect(),
            })
            .collect();
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let attempts = endpoints.iter().map(|endpoint| endpoint.attempts).sum();
        let share = |of: u64, all: u64| (all > 0).then(|| of as f64 / all as f64);
        let all = &self.all;
        Measured {
            requests: all.requests(),
            failed: self.failed,
            faults: self.faults,
            latency_us: Latency {
                mean: all.mean_us(),
                p50: all.percentile(0.5),
                p90: all.percentile(0.9),
                p99: all.percentile(0.99),
                p999: all.percentile(0.999),
                max: all.most_us(),
                curve: curve_shares().map(|share| all.percentile(share)).collect(),
            },
            imbalance: most(&mut endpoints.iter().filter_map(|endpoint| endpoint.share)),
            busiest: most(&mut endpoints.iter().map(|endpoint| endpoint.utilization)),
            utilization: endpoints.iter().map(|endpoint| endpoint.utilization).sum::<f64>()
                / endpoints.len().max(1) as f64,
            keys_moved,
            revisits,
            other_zone: scenario.zones.first().and_then(|_| share(self.far, attempts)),
            in_memory: share(self.in_memory, self.looked_up),
            over_time: OverTime {
                slice_us: self.span.slice_us(),
                requests: self.slices.iter().map(Histogram::requests).collect(),
                failed: self.failed_in,
                p50: self.slices.iter().map(|slice| slice.percentile(0.5)).collect(),
                p99: self.slices.iter().map(|slice| slice.percentile(0.99)).collect(),
            },
            endpoints,
        }
    }
}
