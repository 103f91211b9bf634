//! Consistent hashing without memory (J. Lamping, E. Veach, A Fast, Minimal Memory, Consistent Hash Algorithm, 2014): a key
//! jumps to a number below that of the endpoints. [`buckets`] makes endpoints of numbers.

mod buckets;

use buckets::Buckets;
use plimsoll_sdk::BoundedLoad;
use plimsoll_sdk::prelude::*;

/// How to number, and when to go on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What endpoints are numbered by.
    order: Order,
    /// An endpoint gets no more than this percentage of the mean of attempts under way for its weight, 100 at the least; a
    /// key whose endpoint has as many jumps on. 0 for no bound.
    #[schemars(range(max = 10_000))]
    hash_balance_factor: u32,
}

/// What endpoints are numbered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// In the order in which they came, which is at first that of the configuration. An endpoint that is added is the last.
    #[default]
    Slot,
    /// By their ids, numbers in them by value: `shard-2` comes before `shard-10`. The same for every machine.
    Id,
}

/// Jumps.
#[derive(Debug)]
pub struct JumpHash {
    order: Order,
    buckets: Buckets,
    bounded: BoundedLoad,
}

impl Balancer for JumpHash {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let bounded = BoundedLoad::new(config.hash_balance_factor)?;
        Ok(Self { order: config.order, buckets: Buckets::default(), bounded })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.buckets = Buckets::new(endpoints, self.order);
        self.bounded.update(endpoints);
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let key = request.key.unwrap_or_else(host::random);
        self.bounded.choose(request, self.buckets.from(key)).map(Choice::slot)
    }
}

plimsoll_sdk::plugin! {
    profiles: ["balancer/numbered"],
    summary: "sends the same key to the same endpoint, by jumping to its number",
    balancer: JumpHash,
}

#[cfg(test)]
mod tests;
