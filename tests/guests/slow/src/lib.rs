//! A balancer that takes its time over each pick, within what a trial allows.

use std::hint::black_box;

use plimsoll_sdk::prelude::*;

struct Slow;

impl Balancer for Slow {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        (0..10_000_000_u32).for_each(|number| {
            black_box(number);
        });
        let ready = request.endpoints.ready();
        let fresh = ready.iter().find(|e| !request.is_tried(e.slot));
        fresh.or(ready.first()).map(|e| Choice::slot(e.slot))
    }
}

plimsoll_sdk::plugin! { balancer: Slow }
