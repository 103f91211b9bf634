//! Shuffle sharding: each tenant has a few endpoints, and hardly any two tenants have the same. A tenant whose requests take endpoints down
//! takes down those few; everybody else has at least one other.

use plimsoll_sdk::prelude::*;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The header that names the tenant.
    header: String,
    /// Endpoints that each tenant has.
    #[schemars(range(min = 1, max = 16))]
    endpoints: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { header: "x-tenant".to_owned(), endpoints: 2 }
    }
}

#[derive(Debug)]
pub struct ShuffleSharding {
    config: Config,
    /// Of the request that is being decided, with their scores, the highest first: kept so that nothing is allocated.
    shard: Vec<(u64, Ready)>,
}

const MOST: usize = 16;

const SHARD: u32 = 0;
const BEYOND: u32 = 1;
const EVERYBODY: u32 = 2;

impl Balancer for ShuffleSharding {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if !(1..=MOST).contains(&config.endpoints) {
            errors.push("/endpoints", "expected 1 to 16");
        }
        if config.header.is_empty()
            || config.header.bytes().any(|byte| !byte.is_ascii_graphic() || byte.is_ascii_uppercase())
        {
            errors.push("/header", "expected the name of a header in lower case, such as x-tenant");
        }
        errors.or(Self { config, shard: Vec::with_capacity(MOST + 1) })
    }

    fn reasons(&self) -> Vec<String> {
        ["shard", "beyond", "everybody"].map(str::to_owned).into()
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Header(self.config.header.clone())]
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let is_fresh = |endpoint: &&Ready| !request.is_tried(endpoint.slot);
        let idlest = |endpoint: &&Ready| (host::in_flight(endpoint.slot), host::random());
        let Some(tenant) = request.request.get(0) else {
            let chosen = ready.iter().filter(is_fresh).min_by_key(idlest).or(ready.first())?;
            return Some(Choice { slot: chosen.slot, reason: EVERYBODY });
        };
        self.deal(ready, hash(tenant));
        let shard = self.shard.iter().map(|(_, endpoint)| endpoint);
        if let Some(chosen) = shard.filter(is_fresh).min_by_key(idlest) {
            return Some(Choice { slot: chosen.slot, reason: SHARD });
        }
        // All of its own have failed the request: the next ones by score, so that a tenant strays to few others.
        let score = |endpoint: &&Ready| mix(hash(tenant) ^ endpoint.id_hash);
        let chosen = ready.iter().filter(is_fresh).max_by_key(score).or(ready.first())?;
        Some(Choice { slot: chosen.slot, reason: BEYOND })
    }
}

impl ShuffleSharding {
    /// Finds a tenant's endpoints: those with the highest scores, as in rendezvous hashing, so that one that comes or goes moves few
    /// tenants.
    fn deal(&mut self, ready: &[Ready], tenant: u64) {
        self.shard.clear();
        for endpoint in ready {
            let score = mix(tenant ^ endpoint.id_hash);
            let at = self.shard.iter().position(|(other, _)| *other < score).unwrap_or(self.shard.len());
            if at < self.config.endpoints {
                self.shard.insert(at, (score, *endpoint));
                self.shard.truncate(self.config.endpoints);
            }
        }
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |all, byte| (all ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

plimsoll_sdk::plugin! { balancer: ShuffleSharding }
