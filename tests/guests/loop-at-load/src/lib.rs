//! Never says who it is.

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
    loop {
        std::hint::black_box(());
    }
}

plimsoll_sdk::plugin! { name: name(), balancer: Nothing }
