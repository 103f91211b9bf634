//! Refuses whatever it is given, with a mistake that looks like more than one.

use plimsoll_sdk::prelude::*;

struct Liar;

impl Balancer for Liar {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, ConfigErrors> {
        Err(ConfigErrors::at("/a\n/b", "refused\n2026-11-26T19:59:59Z  INFO all is well\u{1b}[2J"))
    }

    fn pick(&mut self, _: &Pick<'_>) -> Option<Choice> {
        None
    }
}

plimsoll_sdk::plugin! { balancer: Liar }
