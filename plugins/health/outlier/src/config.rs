use judgement::{EjectionRules, ProbeRules};
use plimsoll_sdk::prelude::*;

use crate::origin::Origin;
use crate::statistics::{FailurePercentage, SuccessRate};

/// When an endpoint is out, and when it is back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Good probes in a row that bring an endpoint back.
    #[schemars(range(min = 1))]
    pub rise: u32,
    /// Bad probes in a row that take an endpoint out.
    #[schemars(range(min = 1))]
    pub fall: u32,
    /// Good probes that a new endpoint needs before its first request; 0 lets it begin at once.
    pub initial: u32,
    /// Whether a good probe ends an ejection at once. What is probed then has to be what fails.
    pub probe_ends_ejection: bool,
    /// How far apart endpoints are compared; also what forgives one ejection in use without another.
    pub interval: Duration,
    /// How long the first ejection lasts. The next ones last two, three, … times as long.
    pub base_ejection_time: Duration,
    /// The most an ejection lasts.
    pub max_ejection_time: Duration,
    /// Up to so much longer, at random.
    pub max_ejection_time_jitter: Duration,
    /// Failed requests in a row that eject an endpoint; 0 leaves it.
    pub consecutive_5xx: u32,
    /// Answers 502, 503 and 504 in a row that eject an endpoint; 0 leaves it.
    pub consecutive_gateway_failure: u32,
    /// Whether what fails on this side (connections that fail or break, answers that do not come in time) counts apart, by the
    /// detectors of that name. Without it such a failure counts as an answer 503 does.
    pub split_local_origin_errors: bool,
    /// Of these in a row, so many eject an endpoint; 0 leaves it. Only with `split_local_origin_errors`.
    pub consecutive_local_origin_failure: u32,
    /// Who succeeds less often than the others.
    pub success_rate: SuccessRateConfig,
    /// The same of failures on this side. Only with `split_local_origin_errors`.
    pub local_origin_success_rate: SuccessRateConfig,
    /// Who fails too often, whatever the others do.
    pub failure_percentage: FailurePercentageConfig,
    /// The same of failures on this side. Only with `split_local_origin_errors`.
    pub local_origin_failure_percentage: FailurePercentageConfig,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SuccessRateConfig {
    pub enabled: bool,
    /// Fewer endpoints with enough requests are not compared.
    pub minimum_endpoints: u32,
    /// An endpoint with fewer requests in an interval is left out.
    pub minimum_requests: u32,
    /// How many standard deviations below the mean.
    #[schemars(range(min = 0))]
    pub deviations: f64,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailurePercentageConfig {
    pub enabled: bool,
    /// With fewer endpoints with enough requests nobody is ejected.
    pub minimum_endpoints: u32,
    /// An endpoint with fewer requests in an interval is left out.
    pub minimum_requests: u32,
    /// Failed requests of a hundred.
    #[schemars(range(min = 1, max = 100))]
    pub threshold: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rise: 2,
            fall: 3,
            initial: 0,
            probe_ends_ejection: false,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_time_jitter: Duration::from_secs(0),
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            split_local_origin_errors: false,
            consecutive_local_origin_failure: 5,
            success_rate: SuccessRateConfig::default(),
            local_origin_success_rate: SuccessRateConfig::default(),
            failure_percentage: FailurePercentageConfig::default(),
            local_origin_failure_percentage: FailurePercentageConfig::default(),
        }
    }
}

impl Default for SuccessRateConfig {
    fn default() -> Self {
        Self { enabled: true, minimum_endpoints: 5, minimum_requests: 100, deviations: 1.9 }
    }
}

impl Default for FailurePercentageConfig {
    fn default() -> Self {
        Self { enabled: false, minimum_endpoints: 5, minimum_requests: 50, threshold: 85 }
    }
}

/// The configuration, checked.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) probes: ProbeRules,
    pub(crate) probe_ends_ejection: bool,
    pub(crate) interval_ms: u64,
    pub(crate) ejection: EjectionRules,
    /// Failures in a row that eject, by detector; none of those that are off.
    pub(crate) server_errors: Option<u32>,
    pub(crate) gateway_failures: Option<u32>,
    pub(crate) local_failures: Option<u32>,
    pub(crate) splits: bool,
    any: Sweep,
    local: Sweep,
}

/// How endpoints are compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweep {
    pub(crate) success_rate: Option<SuccessRate>,
    pub(crate) failure_percentage: Option<FailurePercentage>,
}

impl Rules {
    pub(crate) fn sweep(&self, origin: Origin) -> Sweep {
        match origin {
            Origin::Any => self.any,
            Origin::Local => self.local,
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<Rules, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        for (path, count) in [("/rise", self.rise), ("/fall", self.fall)] {
            if count == 0 {
                errors.push(path, "expected at least 1");
            }
        }
        for (path, span) in [("/interval", self.interval), ("/base_ejection_time", self.base_ejection_time)] {
            if span.is_zero() {
                errors.push(path, "expected more than no time");
            }
        }
        let any = Sweep {
            success_rate: self.success_rate.check("/success_rate", &mut errors),
            failure_percentage: self.failure_percentage.check("/failure_percentage", &mut errors),
        };
        let local = Sweep {
            success_rate: self.local_origin_success_rate.check("/local_origin_success_rate", &mut errors),
            failure_percentage: self
                .local_origin_failure_percentage
                .check("/local_origin_failure_percentage", &mut errors),
        };
        let on = |count: u32| (count > 0).then_some(count);
        errors.or(Rules {
            probes: ProbeRules { rise: self.rise, fall: self.fall, initial_fall: self.fall, initial: self.initial },
            probe_ends_ejection: self.probe_ends_ejection,
            interval_ms: self.interval.as_millis(),
            ejection: EjectionRules {
                base_ms: self.base_ejection_time.as_millis(),
                max_ms: self.max_ejection_time.as_millis(),
                jitter_ms: self.max_ejection_time_jitter.as_millis(),
            },
            server_errors: on(self.consecutive_5xx),
            gateway_failures: on(self.consecutive_gateway_failure),
            local_failures: on(self.consecutive_local_origin_failure),
            splits: self.split_local_origin_errors,
            any,
            local: if self.split_local_origin_errors { local } else { Sweep::default() },
        })
    }
}

impl SuccessRateConfig {
    fn check(&self, path: &str, errors: &mut ConfigErrors) -> Option<SuccessRate> {
        if !self.deviations.is_finite() || self.deviations < 0.0 {
            errors.push(format!("{path}/deviations"), "expected at least 0");
        }
        self.enabled.then_some(SuccessRate {
            minimum_endpoints: self.minimum_endpoints as usize,
            minimum_requests: self.minimum_requests.into(),
            deviations: self.deviations,
        })
    }
}

impl FailurePercentageConfig {
    fn check(&self, path: &str, errors: &mut ConfigErrors) -> Option<FailurePercentage> {
        if !(1..=100).contains(&self.threshold) {
            errors.push(format!("{path}/threshold"), "expected 1 to 100");
        }
        self.enabled.then_some(FailurePercentage {
            minimum_endpoints: self.minimum_endpoints as usize,
            minimum_requests: self.minimum_requests.into(),
            threshold: self.threshold,
        })
    }
}
