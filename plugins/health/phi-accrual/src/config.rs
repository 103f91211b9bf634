use plimsoll_sdk::prelude::*;

/// When silence is too unusual.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The φ from which on an endpoint is out: 1 is wrong about once in 10 times, 8 once in 100 million, as far as intervals are
    /// as they were.
    #[schemars(range(min = 0.1, max = 100))]
    pub threshold: f64,
    /// Intervals between good probes that are remembered.
    #[schemars(range(min = 10, max = 1000))]
    pub samples: u32,
    /// What the intervals are held to be before there are any.
    pub first_interval: Duration,
    /// The least that intervals are held to differ by (standard deviation).
    pub min_deviation: Duration,
    /// A silence of so much more is nothing unusual.
    pub acceptable_pause: Duration,
    /// Good probes in a row that bring an endpoint back.
    #[schemars(range(min = 1))]
    pub rise: u32,
    /// Good probes that a new endpoint needs before its first request; 0 lets it begin at once.
    pub initial: u32,
    /// Whether an answer below 500 to a request is a sign of life, too.
    pub answers: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threshold: 8.0,
            samples: 200,
            first_interval: Duration::from_secs(5),
            min_deviation: Duration::from_millis(500),
            acceptable_pause: Duration::from_secs(3),
            rise: 1,
            initial: 0,
            answers: false,
        }
    }
}

impl Config {
    pub(crate) fn check(self) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if !(0.1..=100.0).contains(&self.threshold) {
            errors.push("/threshold", "expected 0.1 to 100");
        }
        if !(10..=1000).contains(&self.samples) {
            errors.push("/samples", "expected 10 to 1000");
        }
        for (path, span) in [("/first_interval", self.first_interval), ("/min_deviation", self.min_deviation)] {
            if span.is_zero() {
                errors.push(path, "expected more than no time");
            }
        }
        if self.rise == 0 {
            errors.push("/rise", "expected at least 1");
        }
        errors.or(self)
    }
}
