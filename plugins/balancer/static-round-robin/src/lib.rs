//! Round robin over a fixed order, as HAProxy's `static-rr`: the order is made of the weights that endpoints came with,
//! and each pick takes the next of it. [`order`] makes it.

mod order;

use order::order;
use plimsoll_sdk::prelude::*;

/// How to go round.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Begin at a random place of the order, so that workers and machines do not send in step.
    random_start: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { random_start: true }
    }
}

/// Goes round.
#[derive(Debug)]
pub struct StaticRoundRobin {
    /// Whether the first endpoints are still to be met at a random place.
    random_start: bool,
    /// Slot, id hash and the weight that it came with, of every endpoint; in ascending order of slots.
    came_with: Vec<(u32, u64, u32)>,
    order: Vec<u32>,
    next: usize,
}

impl Balancer for StaticRoundRobin {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { random_start: config.random_start, came_with: Vec::new(), order: Vec::new(), next: 0 })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let before = std::mem::take(&mut self.came_with);
        let known = |endpoint: &Endpoint| {
            let at = before.binary_search_by_key(&endpoint.slot, |(slot, ..)| *slot).ok()?;
            let (_, id_hash, weight) = before[at];
            (id_hash == endpoint.id_hash && weight > 0).then_some(weight)
        };
        let weight = |endpoint: &Endpoint| known(endpoint).unwrap_or_else(|| endpoint.weight.min(65_535));
        self.came_with = endpoints.iter().map(|endpoint| (endpoint.slot, endpoint.id_hash, weight(endpoint))).collect();
        let weight_of =
            |slot| self.came_with.binary_search_by_key(&slot, |(slot, ..)| *slot).map(|at| self.came_with[at].2);
        let weights: Vec<(u32, u32)> =
            endpoints.ready().iter().filter_map(|e| Some((e.slot, weight_of(e.slot).ok()?))).collect();
        self.order = order(&weights);
        if self.random_start && !self.order.is_empty() {
            self.random_start = false;
            self.next = host::random_below(self.order.len() as u32) as usize;
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        if self.next >= self.order.len() {
            self.next = 0;
        }
        let (before, after) = self.order.split_at(self.next);
        let mut in_turn = after.iter().chain(before).enumerate();
        let untried = in_turn.find(|(_, slot)| !request.is_tried(**slot));
        let (passed, slot) = untried.or_else(|| Some((0, after.first()?)))?;
        self.next = (self.next + passed + 1) % self.order.len();
        Some(Choice::slot(*slot))
    }
}

plimsoll_sdk::plugin! { summary: "goes round a fixed order, made of the weights", balancer: StaticRoundRobin }

#[cfg(test)]
mod tests;
