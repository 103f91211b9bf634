//! A balancer that forgets that draining endpoints take nothing new. It must be configured, so that nothing can be said of
//! it before it is used.

use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Needs {
    /// Anything will do.
    #[allow(dead_code, reason = "it only has to be there")]
    on: bool,
}

struct Needy {
    next: usize,
}

impl Balancer for Needy {
    type Config = Needs;

    fn new(_: Needs) -> Result<Self, ConfigErrors> {
        Ok(Self { next: 0 })
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let usable = |e: &&Endpoint| e.availability != Availability::Unavailable && e.weight > 0;
        let slots: Vec<u32> = request.endpoints.iter().filter(usable).map(|e| e.slot).collect();
        for _ in 0..slots.len() {
            self.next = (self.next + 1) % slots.len();
            if !request.is_tried(slots[self.next]) {
                return Some(Choice::slot(slots[self.next]));
            }
        }
        slots.first().map(|slot| Choice::slot(*slot))
    }
}

plimsoll_sdk::plugin! { balancer: Needy }
