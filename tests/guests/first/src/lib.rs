//! Sends everything to the first endpoint, whatever it is configured with: it can take the place of any balancer.

use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Anything {}

struct First;

impl Balancer for First {
    type Config = Anything;

    fn new(_: Anything) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let fresh = ready.iter().find(|e| !request.is_tried(e.slot));
        fresh.or(ready.first()).map(|e| Choice::slot(e.slot))
    }
}

plimsoll_sdk::plugin! { profiles: ["balancer/packing"], balancer: First }
