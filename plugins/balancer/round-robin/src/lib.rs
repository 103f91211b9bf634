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

/// What a random start may cost, in looks at a weight: a turn looks at each different weight once. Some 0.5 ms; being told
/// of endpoints has 10 ms.
const MOST_LOOKS: u64 = 1 << 17;

impl Balancer for RoundRobin {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { random_start: config.random_start, sequence: Sequence::default() })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.sequence.update(endpoints.ready());
        if self.random_start && !endpoints.ready().is_empty() {
            self.random_start = false;
            for _ in 0..host::random() % places_to_start(&self.sequence) {
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

/// The first so many places of the sequence: all of a round, unless finding one would take too long.
fn places_to_start(sequence: &Sequence) -> u64 {
    sequence.period().clamp(1, (MOST_LOOKS / sequence.weights().max(1)).max(1))
}

plimsoll_sdk::plugin! { summary: "takes turns, in proportion to the weights", balancer: RoundRobin }

#[cfg(test)]
mod tests;
