//! Draws a few endpoints at random, in proportion to their weights, and takes the one with the fewest attempts under way
//! for its weight. Two draws already keep the load nearly even, and cost two random numbers and one look at the counters.
//! On request it looks at all endpoints instead, or goes by [`schedule`] where weights differ.

mod schedule;

use plimsoll_sdk::Draw;
use plimsoll_sdk::prelude::*;
use schedule::Schedule;

/// How widely to look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Endpoints to compare for each request. More of them find a better one and look at more counters.
    #[schemars(range(min = 2, max = 16))]
    choices: u32,
    /// Whether to compare a few random endpoints or all of them.
    selection_method: SelectionMethod,
    /// Where weights differ, each endpoint gets attempts in proportion to weight / (attempts under way + 1) ^ bias, by a
    /// schedule and without a choice. 1 is Envoy's default, 0 ignores the load. Unless it is set, weights that differ
    /// are a matter of the draw.
    #[schemars(range(min = 0, max = 100))]
    active_request_bias: Option<f64>,
}

/// Which endpoints to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SelectionMethod {
    /// As many random ones as `choices` says.
    NChoices,
    /// All of them.
    FullScan,
}

impl Default for Config {
    fn default() -> Self {
        Self { choices: 2, selection_method: SelectionMethod::NChoices, active_request_bias: None }
    }
}

/// Takes the least loaded of a few.
#[derive(Debug)]
pub struct LeastRequest {
    choices: u32,
    selection_method: SelectionMethod,
    draw: Draw,
    /// Of all ready endpoints; empty unless all of them are looked at.
    slots: Vec<u32>,
    /// Only for a bias.
    schedule: Option<Schedule>,
}

impl Balancer for LeastRequest {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if !(2..=16).contains(&config.choices) {
            errors.push("/choices", format_args!("expected 2 to 16, not {}", config.choices));
        }
        if config.active_request_bias.is_some_and(|bias| !(0.0..=100.0).contains(&bias)) {
            errors.push("/active_request_bias", "expected 0 to 100");
        }
        errors.or(Self {
            choices: config.choices,
            selection_method: config.selection_method,
            draw: Draw::default(),
            slots: Vec::new(),
            schedule: config.active_request_bias.map(Schedule::new),
        })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        if let Some(schedule) = &mut self.schedule {
            schedule.update(endpoints);
        }
        match self.selection_method {
            SelectionMethod::NChoices => self.draw = Draw::new(endpoints),
            SelectionMethod::FullScan => self.slots = endpoints.ready().iter().map(|e| e.slot).collect(),
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let slot = match (ready, request.tried) {
            ([], _) => return None,
            ([only], _) => only.slot,
            _ if self.schedule.is_some() && !request.endpoints.weights_equal() => self.scheduled(request)?,
            _ if self.selection_method == SelectionMethod::FullScan => self.least_of_all(request)?,
            ([_, _], []) => self.least_of_two(ready),
            (_, []) if self.choices == 2 => self.least_of_two(ready),
            (_, []) => self.least_of_many(ready),
            (_, _) => self.least_untried(request),
        };
        Some(Choice::slot(slot))
    }
}

impl LeastRequest {
    fn scheduled(&mut self, request: &Pick<'_>) -> Option<u32> {
        let schedule = self.schedule.as_mut()?;
        schedule.next(request.tried).or_else(|| schedule.next(&[]))
    }

    /// Those that are as little loaded for their weight get it at random, in proportion to their weights.
    fn least_of_all(&self, request: &Pick<'_>) -> Option<u32> {
        let ready = request.endpoints.ready();
        let loads = host::in_flight_many(&self.slots);
        let all = || ready.iter().zip(loads.iter().copied());
        let left = || all().filter(|(endpoint, _)| !request.is_tried(endpoint.slot));
        if left().next().is_none() { lightest(all) } else { lightest(left) }
    }

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

/// The least loaded for its weight; one of several at random, in proportion to their weights.
fn lightest<'a, I: Iterator<Item = (&'a Ready, u32)>>(endpoints: impl Fn() -> I) -> Option<u32> {
    let (mut least, mut weights): (Option<(&Ready, u32)>, u64) = (None, 0);
    for (endpoint, load) in endpoints() {
        match least {
            Some((other, other_load)) if is_lighter(other_load, other, load, endpoint) => {}
            Some((other, other_load)) if !is_lighter(load, endpoint, other_load, other) => {
                weights += u64::from(endpoint.weight);
            }
            _ => {
                least = Some((endpoint, load));
                weights = u64::from(endpoint.weight);
            }
        }
    }
    let (first, least) = least?;
    if weights == u64::from(first.weight) {
        return Some(first.slot);
    }
    let mut at = ((u128::from(host::random()) * u128::from(weights)) >> 64) as u64;
    let mut tied = endpoints().filter(|(endpoint, load)| !is_lighter(least, first, *load, endpoint));
    let drawn = tied.find(|(endpoint, _)| {
        let here = at < u64::from(endpoint.weight);
        at = at.wrapping_sub(endpoint.weight.into());
        here
    });
    drawn.map(|(endpoint, _)| endpoint.slot)
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
