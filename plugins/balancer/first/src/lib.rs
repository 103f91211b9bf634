//! Fills the endpoints in the order of their slots, which is that of the configuration: each as far as it may be, then
//! the next. The last ones stay idle while there is little to do, and can be switched off.

use plimsoll_sdk::prelude::*;

/// Takes the first that has room.
#[derive(Debug)]
pub struct First;

impl Balancer for First {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let mut untried = request.endpoints.ready().iter().filter(|e| !request.is_tried(e.slot)).map(|e| e.slot);
        let has_room = |slot: &u32| match request.endpoints.get(*slot).map_or(0, |e| e.max_connections) {
            0 => true,
            bound => host::in_flight(*slot) < bound,
        };
        // When all are full the request waits for its turn, wherever that will be.
        let full = untried.clone().next().or_else(|| request.endpoints.ready().first().map(|e| e.slot));
        untried.find(has_room).or(full).map(Choice::slot)
    }
}

plimsoll_sdk::plugin! { profiles: ["balancer/packing"], summary: "fills endpoints in order", balancer: First }

#[cfg(test)]
mod tests;
