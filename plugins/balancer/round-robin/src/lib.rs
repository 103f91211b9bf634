//! Smooth weighted round robin, turn for turn as nginx does it; [`sequence`] has the algorithm.

mod sequence;

use plimsoll_sdk::prelude::*;
use sequence::Sequence;

/// How to take turns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Begin at a random place of the sequence, so that workers and machines do not send in step.
    random_start: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { random_start: true }
    }
}

/// Takes turns.
#[derive(Debug)]
pub struct RoundRobin {
    /// Whether the first endpoints are still to be met at a random place.
    random_start: bool,
    sequence: Sequence,
}

/// A random start is at most this many turns into the sequence: making the turns takes time, and a call has little.
const MOST_SKIPPED: u64 = 1 << 14;

impl Balancer for RoundRobin {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { random_start: config.random_start, sequence: Sequence::default() })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.sequence.update(endpoints.ready());
        if self.random_start && !endpoints.ready().is_empty() {
            self.random_start = false;
            let skipped = host::random() % self.sequence.period().clamp(1, MOST_SKIPPED);
            for _ in 0..skipped {
                self.sequence.next();
            }
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let slot = match request.tried {
            [] => self.sequence.next(),
            tried => self.sequence.next_without(tried).or_else(|| self.sequence.next()),
        };
        slot.map(Choice::slot)
    }
}

plimsoll_sdk::plugin! { summary: "takes turns, in proportion to the weights", balancer: RoundRobin }

#[cfg(test)]
mod tests;
