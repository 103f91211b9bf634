//! Draws a few endpoints at random, in proportion to their weights, and takes the one with the fewest attempts under way
//! for its weight. Two draws already keep the load nearly even, and cost two random numbers and one look at the counters.

use plimsoll_sdk::Draw;
use plimsoll_sdk::prelude::*;

/// How widely to look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Endpoints to compare for each request. More of them find a better one and look at more counters.
    #[schemars(range(min = 2, max = 16))]
    choices: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { choices: 2 }
    }
}

/// Takes the least loaded of a few.
#[derive(Debug)]
pub struct LeastRequest {
    choices: u32,
    draw: Draw,
}

impl Balancer for LeastRequest {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if !(2..=16).contains(&config.choices) {
            return Err(ConfigErrors::at("/choices", format_args!("expected 2 to 16, not {}", config.choices)));
        }
        Ok(Self { choices: config.choices, draw: Draw::default() })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.draw = Draw::new(endpoints);
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let slot = match (ready, request.tried) {
            ([], _) => return None,
            ([only], _) => only.slot,
            ([_, _], []) => self.least_of_two(ready),
            (_, []) if self.choices == 2 => self.least_of_two(ready),
            (_, []) => self.least_of_many(ready),
            (_, _) => self.least_untried(request),
        };
        Some(Choice::slot(slot))
    }
}

impl LeastRequest {
    #[inline]
    fn least_of_two(&self, ready: &[Ready]) -> u32 {
        let (first, second) = self.draw.two(ready.len());
        let (first, second) = (&ready[first], &ready[second]);
        let (load_of_first, load_of_second) = host::in_flight_pair(first.slot, second.slot);
        if is_lighter(load_of_second, second, load_of_first, first) { second.slot } else { first.slot }
    }

    fn least_of_many(&self, ready: &[Ready]) -> u32 {
        let mut best = &ready[self.draw.one(ready.len())];
        let mut least = host::in_flight(best.slot);
        for _ in 1..self.choices {
            let other = &ready[self.draw.one(ready.len())];
            if other.slot == best.slot {
                continue;
            }
            let load = host::in_flight(other.slot);
            if is_lighter(load, other, least, best) {
                (best, least) = (other, load);
            }
        }
        best.slot
    }

    /// A further attempt. Draws that hit what was tried do not count; when too many do, the first that is left is taken
    /// from a random place on.
    fn least_untried(&self, request: &Pick<'_>) -> u32 {
        let ready = request.endpoints.ready();
        let mut best: Option<(&Ready, u32)> = None;
        let mut found = 0;
        for _ in 0..4 * self.choices {
            let other = &ready[self.draw.one(ready.len())];
            if request.is_tried(other.slot) || best.is_some_and(|(best, _)| best.slot == other.slot) {
                continue;
            }
            let load = host::in_flight(other.slot);
            if best.is_none_or(|(best, least)| is_lighter(load, other, least, best)) {
                best = Some((other, load));
            }
            found += 1;
            if found == self.choices {
                break;
            }
        }
        if let Some((best, _)) = best {
            return best.slot;
        }
        let start = host::random_below(ready.len() as u32) as usize;
        let (before, after) = ready.split_at(start);
        let left = after.iter().chain(before).find(|e| !request.is_tried(e.slot));
        left.unwrap_or(&ready[start]).slot
    }
}

/// Whether `load` for the weight of `endpoint` is less than `other_load` for that of `other`. Equals leave it at the one
/// that was drawn first, so that without load the shares are those of the weights.
#[inline]
fn is_lighter(load: u32, endpoint: &Ready, other_load: u32, other: &Ready) -> bool {
    u64::from(load) * u64::from(other.weight) < u64::from(other_load) * u64::from(endpoint.weight)
}

plimsoll_sdk::plugin! { summary: "fewest attempts under way among a few random endpoints", balancer: LeastRequest }

#[cfg(test)]
mod tests;
