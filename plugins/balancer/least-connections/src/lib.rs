//! Looks at all endpoints, and takes the one with the fewest attempts under way for its weight. Those that have as few
//! take smooth turns, as in nginx's `least_conn`.

use plimsoll_sdk::Turns;
use plimsoll_sdk::prelude::*;

/// How to take turns among those that are as little loaded.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Begin at a random turn, so that workers and machines do not send in step.
    random_start: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { random_start: true }
    }
}

/// Takes the least loaded of all.
#[derive(Debug)]
pub struct LeastConnections {
    /// Whether the first endpoints are still to be met at a random turn.
    random_start: bool,
    slots: Vec<u32>,
    turns: Turns,
}

impl Balancer for LeastConnections {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { random_start: config.random_start, slots: Vec::new(), turns: Turns::default() })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let ready = endpoints.ready();
        self.slots = ready.iter().map(|endpoint| endpoint.slot).collect();
        self.turns.update(endpoints);
        if self.random_start && !ready.is_empty() {
            self.random_start = false;
            self.turns.start_anywhere(endpoints);
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        if let [only] = ready {
            return Some(Choice::slot(only.slot));
        }
        let loads = host::in_flight_many(&self.slots);
        let load = |index: usize| loads.get(index).map(|load| u64::from(*load));
        let untried = |index: usize| if request.is_tried(ready[index].slot) { None } else { load(index) };
        let chosen = if request.tried.is_empty() {
            self.turns.least(ready, load)
        } else {
            self.turns.least(ready, untried).or_else(|| self.turns.least(ready, load))
        };
        Some(Choice::slot(ready[chosen?].slot))
    }
}

plimsoll_sdk::plugin! { summary: "fewest attempts under way for the weight, of all endpoints", balancer: LeastConnections }

#[cfg(test)]
mod tests;
