//! Consistent hashing: the same key goes to the same endpoint, on every worker and machine, and when endpoints come and
//! go few keys move. [`table`] has the algorithm.

mod table;

use plimsoll_sdk::BoundedLoad;
use plimsoll_sdk::prelude::*;
use table::Table;

/// Shape of the table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Number of places, a prime. More of them make shares more even and cost 4 bytes each on every worker; a hundred
    /// times the number of endpoints keeps shares within about a percent.
    #[schemars(range(min = 2, max = 5_000_011))]
    table_size: u32,
    /// An endpoint gets no more than this percentage of the mean of attempts under way for its weight, 100 at the least; a
    /// key whose endpoint has as many goes on to another one. 0 for no bound.
    #[schemars(range(max = 10_000))]
    hash_balance_factor: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { table_size: 65_537, hash_balance_factor: 0 }
    }
}

const LARGEST: u32 = 5_000_011;

/// Looks keys up in a table.
#[derive(Debug)]
pub struct Maglev {
    size: u32,
    table: Table,
    bounded: BoundedLoad,
}

impl Balancer for Maglev {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let size = config.table_size;
        if size > LARGEST || !is_prime(size) {
            let message = format_args!("expected a prime of at most {LARGEST}, such as 65537 or 655373, not {size}");
            errors.push("/table_size", message);
        }
        let bounded = BoundedLoad::new(config.hash_balance_factor).unwrap_or_else(|more| {
            errors.extend(more);
            BoundedLoad::default()
        });
        errors.or(Self { size, table: Table::default(), bounded })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.table.build(self.size, endpoints.ready());
        self.bounded.update(endpoints);
    }

    fn prepares(&self) -> bool {
        true
    }

    fn prepare(&self) -> Vec<u32> {
        self.table.prepared()
    }

    fn adopt(&mut self, prepared: Vec<u32>) {
        self.table.adopt(prepared);
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let key = request.key.unwrap_or_else(host::random);
        self.bounded.choose(request, self.table.from(key)).map(Choice::slot)
    }
}

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

plimsoll_sdk::plugin! { summary: "sends the same key to the same endpoint, by Maglev's table", balancer: Maglev }

#[cfg(test)]
mod tests;
