use judgement::{EjectionRules, ProbeRules};
use plimsoll_sdk::prelude::*;

/// When an endpoint's circuit opens, and when it closes.
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
    /// How long requests count.
    pub window: Duration,
    /// Fewer requests within the window say nothing.
    #[schemars(range(min = 5, max = 1000000))]
    pub minimum_requests: u32,
    /// Failed requests of a hundred that open it.
    #[schemars(range(min = 1, max = 100))]
    pub error_percent: u32,
    /// How long it is open at first. The next times last two, three, … times as long.
    pub open_for: Duration,
    /// The most it is open.
    pub max_open: Duration,
    /// Half open, so many good requests in a row close it; one that fails opens it again.
    #[schemars(range(min = 1, max = 1000))]
    pub trials: u32,
    /// Responses that count as failures; connections that fail, break or time out always do.
    pub statuses: Vec<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rise: 2,
            fall: 3,
            initial: 0,
            window: Duration::from_secs(10),
            minimum_requests: 20,
            error_percent: 50,
            open_for: Duration::from_secs(5),
            max_open: Duration::from_secs(60),
            trials: 3,
            statuses: vec![500, 502, 503, 504],
        }
    }
}

/// The configuration, checked.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) probes: ProbeRules,
    pub(crate) window_ms: u64,
    pub(crate) minimum_requests: u64,
    pub(crate) error_percent: u64,
    pub(crate) open: EjectionRules,
    pub(crate) trials: u32,
    statuses: Vec<u16>,
}

impl Config {
    pub(crate) fn check(&self) -> Result<Rules, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        for (path, count, range) in [
            ("/rise", self.rise, 1..=u32::MAX),
            ("/fall", self.fall, 1..=u32::MAX),
            ("/minimum_requests", self.minimum_requests, 5..=1_000_000),
            ("/error_percent", self.error_percent, 1..=100),
            ("/trials", self.trials, 1..=1000),
        ] {
            if !range.contains(&count) {
                errors.push(path, format_args!("expected {} to {}, not {count}", range.start(), range.end()));
            }
        }
        for (path, span) in [("/window", self.window), ("/open_for", self.open_for)] {
            if span.is_zero() {
                errors.push(path, "expected more than no time");
            }
        }
        if self.max_open < self.open_for {
            errors.push("/max_open", format_args!("expected at least `open_for`, which is {}", self.open_for));
        }
        for (index, status) in self.statuses.iter().enumerate() {
            if !(500..=599).contains(status) {
                let message = format_args!("expected a status from 500 to 599, not {status}");
                errors.push(format!("/statuses/{index}"), message);
            }
        }
        errors.or(Rules {
            probes: ProbeRules { rise: self.rise, fall: self.fall, initial_fall: self.fall, initial: self.initial },
            window_ms: self.window.as_millis(),
            minimum_requests: self.minimum_requests.into(),
            error_percent: self.error_percent.into(),
            open: EjectionRules { base_ms: self.open_for.as_millis(), max_ms: self.max_open.as_millis(), jitter_ms: 0 },
            trials: self.trials,
            statuses: self.statuses.clone(),
        })
    }
}

impl Rules {
    /// Whether a request counts as failed; none when it says nothing about the endpoint.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Option<bool> {
        match outcome.class {
            OutcomeClass::ClientAbort => None,
            OutcomeClass::Success => Some(false),
            OutcomeClass::ServerError => Some(self.statuses.contains(&outcome.status)),
            OutcomeClass::ConnectFailure | OutcomeClass::Timeout | OutcomeClass::Reset => Some(true),
        }
    }
}
