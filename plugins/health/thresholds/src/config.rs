use std::fmt;

use judgement::{EjectionRules, in_a_row};
use plimsoll_sdk::prelude::*;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};

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
    /// Bad probes in a row that take out an endpoint of which none has been good yet; as `fall` unless given.
    #[schemars(range(min = 1))]
    pub initial_fall: Option<u32>,
    /// What live traffic says: `off`, or how many failures eject an endpoint and for how long.
    pub passive: PassiveConfig,
}

#[derive(Clone, Debug, JsonSchema)]
#[serde(untagged)]
pub enum PassiveConfig {
    Switch(Switch),
    Thresholds(PassiveThresholds),
}

#[derive(Clone, Copy, Debug, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    Off,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PassiveThresholds {
    /// Failed requests that eject an endpoint: so many in a row, or so many within `within`.
    #[schemars(range(min = 1, max = 1000))]
    pub failures: u32,
    /// Failures count for so long, whatever succeeds between them, as with `max_fails` and `fail_timeout` of nginx. Without
    /// it they have to be in a row.
    pub within: Option<Duration>,
    /// How long the first ejection lasts. The next ones last two, three, … times as long.
    pub eject_for: Duration,
    /// The most an ejection lasts.
    pub max_eject: Duration,
    /// Responses that count as failures; connections that fail, break or time out always do.
    pub statuses: Vec<u16>,
}

/// What serde derives for an untagged enum would keep the value until it knows the variant, and tell of any mistake only
/// that no variant fits.
impl<'de> Deserialize<'de> for PassiveConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SwitchOrThresholds;

        impl<'de> Visitor<'de> for SwitchOrThresholds {
            type Value = PassiveConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off`, or an object")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PassiveConfig, E> {
                match text {
                    "off" => Ok(PassiveConfig::Switch(Switch::Off)),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PassiveConfig, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(PassiveConfig::Thresholds)
            }
        }

        deserializer.deserialize_any(SwitchOrThresholds)
    }
}

impl Default for Config {
    fn default() -> Self {
        let passive = PassiveConfig::Thresholds(PassiveThresholds::default());
        Self { rise: 2, fall: 3, initial: 0, initial_fall: None, passive }
    }
}

impl Default for PassiveThresholds {
    fn default() -> Self {
        Self {
            failures: 5,
            within: None,
            eject_for: Duration::from_secs(10),
            max_eject: Duration::from_secs(300),
            statuses: vec![502, 503, 504],
        }
    }
}

/// How to judge live traffic.
#[derive(Clone, Debug)]
pub(crate) struct Passive {
    pub(crate) failures: u32,
    pub(crate) within_ms: Option<u64>,
    pub(crate) ejection: EjectionRules,
    statuses: Vec<u16>,
}

impl Config {
    pub(crate) fn check(&self) -> Result<Option<Passive>, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let initial_fall = self.initial_fall.unwrap_or(1);
        for (path, count) in [("/rise", self.rise), ("/fall", self.fall), ("/initial_fall", initial_fall)] {
            if count == 0 {
                errors.push(path, "expected at least 1");
            }
        }
        let passive = match &self.passive {
            PassiveConfig::Switch(Switch::Off) => None,
            PassiveConfig::Thresholds(config) => Some(config.check(&mut errors)),
        };
        errors.or(passive)
    }
}

impl PassiveThresholds {
    fn check(&self, errors: &mut ConfigErrors) -> Passive {
        if !(1..=1000).contains(&self.failures) {
            errors.push("/passive/failures", "expected 1 to 1000; `passive: off` ignores live traffic");
        }
        if self.within.is_some_and(Duration::is_zero) {
            errors.push("/passive/within", "expected more than no time");
        }
        if self.eject_for.is_zero() {
            errors.push("/passive/eject_for", "expected more than no time");
        }
        if self.max_eject < self.eject_for {
            let message =
                format_args!("expected at least `eject_for`, which is {}, not {}", self.eject_for, self.max_eject);
            errors.push("/passive/max_eject", message);
        }
        for (index, status) in self.statuses.iter().enumerate() {
            if !(500..=599).contains(status) {
                let message = format_args!("expected a status from 500 to 599, not {status}");
                errors.push(format!("/passive/statuses/{index}"), message);
            }
        }
        Passive {
            failures: self.failures,
            within_ms: self.within.map(Duration::as_millis),
            ejection: EjectionRules {
                base_ms: self.eject_for.as_millis(),
                max_ms: self.max_eject.as_millis(),
                jitter_ms: 0,
            },
            statuses: self.statuses.clone(),
        }
    }
}

impl Passive {
    /// Why it ejects.
    pub(crate) fn verdict(&self) -> String {
        match self.within_ms {
            None => in_a_row(self.failures, "request", "failed"),
            Some(within_ms) => format!("{} failed requests within {}", self.failures, Duration::from_millis(within_ms)),
        }
    }

    /// Whether the attempt counts as failed; none when it says nothing about the endpoint.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Option<bool> {
        match outcome.class {
            OutcomeClass::ClientAbort => None,
            OutcomeClass::Success => Some(false),
            OutcomeClass::ServerError => Some(self.statuses.contains(&outcome.status)),
            OutcomeClass::ConnectFailure | OutcomeClass::Timeout | OutcomeClass::Reset => Some(true),
        }
    }
}
