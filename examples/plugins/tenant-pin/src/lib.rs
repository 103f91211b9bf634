//! Keeps each tenant on a few endpoints: their caches stay warm, and a tenant that runs wild slows down only those few.

use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Endpoints for each tenant.
    shard: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { shard: 2 }
    }
}

pub struct TenantPin {
    shard: usize,
    ranked: Vec<(u64, u32)>,
}

impl Balancer for TenantPin {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        match config.shard {
            0 => Err(ConfigErrors::at("/shard", "expected at least 1")),
            shard => Ok(Self { shard, ranked: Vec::new() }),
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        // The key is the hash of the tenant. Rendezvous hashing: every endpoint has a rank for every tenant.
        let tenant = request.key.unwrap_or_else(host::random);
        self.ranked.clear();
        self.ranked.extend(request.endpoints.ready().iter().map(|e| (rank(tenant, e.id_hash), e.slot)));
        self.ranked.sort_unstable();
        let fresh = self.ranked.iter().filter(|(_, slot)| !request.is_tried(*slot));
        let least_loaded = fresh.take(self.shard).min_by_key(|(_, slot)| host::in_flight(*slot));
        least_loaded.or(self.ranked.first()).map(|(_, slot)| Choice::slot(*slot))
    }
}

fn rank(tenant: u64, id_hash: u64) -> u64 {
    let mixed = (tenant ^ id_hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

plimsoll_sdk::plugin! { balancer: TenantPin }
