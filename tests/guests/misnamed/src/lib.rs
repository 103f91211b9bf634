//! Has a name that no configuration could refer to.

use plimsoll_sdk::prelude::*;

struct Nothing;

impl Balancer for Nothing {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn pick(&mut self, _: &Pick<'_>) -> Option<Choice> {
        None
    }
}

plimsoll_sdk::plugin! { name: "Not a Name", balancer: Nothing }
