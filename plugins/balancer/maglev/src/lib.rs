//! Consistent hashing: the same key goes to the same endpoint, on every worker and machine, and when endpoints come and
//! go few keys move. [`table`] has the algorithm.

mod table;

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
}

impl Default for Config {
    fn default() -> Self {
        Self { table_size: 65_537 }
    }
}

const LARGEST: u32 = 5_000_011;

/// Looks keys up in a table.
#[derive(Debug)]
pub struct Maglev {
    size: u32,
    table: Table,
}

impl Balancer for Maglev {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let size = config.table_size;
        if size > LARGEST || !is_prime(size) {
            let message = format_args!("expected a prime of at most {LARGEST}, such as 65537 or 655373, not {size}");
            return Err(ConfigErrors::at("/table_size", message));
        }
        Ok(Self { size, table: Table::default() })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.table.build(self.size, endpoints.ready());
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let key = request.key.unwrap_or_else(host::random);
        match request.tried {
            [] => self.table.get(key),
            tried => self.table.get_another(key, tried),
        }
        .map(Choice::slot)
    }
}

fn is_prime(n: u32) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

plimsoll_sdk::plugin! { summary: "sends the same key to the same endpoint, by Maglev's table", balancer: Maglev }

#[cfg(test)]
mod tests;
