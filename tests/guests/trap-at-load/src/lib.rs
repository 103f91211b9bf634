//! Traps when it is asked who it is.

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

fn name() -> &'static str {
    panic!("it does not want to say")
}

plimsoll_sdk::plugin! { name: name(), balancer: Nothing }
