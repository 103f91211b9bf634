//! Any endpoint, in proportion to the weights, whatever its load. One random number and one look at a table for each pick.

use plimsoll_sdk::Draw;
use plimsoll_sdk::prelude::*;

/// Draws.
#[derive(Debug, Default)]
pub struct Random {
    draw: Draw,
}

/// Draws that may hit what was tried already, before the first of the others is taken.
const DRAWS: usize = 8;

impl Balancer for Random {
    type Config = NoConfig;

    fn new(_config: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self::default())
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.draw = Draw::new(endpoints);
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        if ready.is_empty() {
            return None;
        }
        let mut drawn = (0..DRAWS).map(|_| &ready[self.draw.one(ready.len())]);
        let untried = |endpoint: &&Ready| !request.is_tried(endpoint.slot);
        let chosen = drawn.find(untried).or_else(|| ready.iter().find(untried)).unwrap_or(&ready[0]);
        Some(Choice::slot(chosen.slot))
    }
}

plimsoll_sdk::plugin! { summary: "any endpoint, in proportion to the weights", balancer: Random }

#[cfg(test)]
mod tests;
