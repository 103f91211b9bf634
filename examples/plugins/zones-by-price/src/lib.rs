//! Divides endpoints by their zones, which have a price: the cheapest zone gets the requests as long as it has room for them. Traffic between
//! zones costs, and so do machines that are dear; an endpoint that is full costs more.

use std::collections::BTreeMap;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What a request to a zone costs, by its name.
    prices: BTreeMap<String, u32>,
    /// Of all other zones.
    other: u32,
    /// Attempts under way at each endpoint of a zone, on average, with which it is full.
    attempts: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { prices: BTreeMap::new(), other: 100, attempts: 8 }
    }
}

#[derive(Debug)]
pub struct ZonesByPrice {
    config: Config,
    /// The cheapest first.
    zones: Vec<Zone>,
}

#[derive(Debug)]
struct Zone {
    group: u32,
    price: u32,
    /// Those that take requests.
    open: Vec<u32>,
}

/// The host takes no more.
const MOST_GROUPS: usize = 1024;

impl Partitioner for ZonesByPrice {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        match config.attempts {
            0 => Err(ConfigErrors::at("/attempts", "expected at least 1")),
            _ => Ok(Self { config, zones: Vec::new() }),
        }
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        let mut groups: BTreeMap<&str, Vec<&Endpoint>> = BTreeMap::new();
        for endpoint in endpoints {
            // Those beyond the bound are of one zone that has no name.
            let known = groups.len() < MOST_GROUPS - 1 || groups.contains_key(endpoint.zone.as_str());
            groups.entry(if known { &endpoint.zone } else { "" }).or_default().push(endpoint);
        }
        let price = |zone: &str| self.config.prices.get(zone).copied().unwrap_or(self.config.other);
        // Further levels are for when nobody of the first takes requests.
        let open = |endpoint: &&Endpoint| endpoint.availability == Availability::Ready && endpoint.weight > 0;
        let first = endpoints.iter().filter(open).map(|endpoint| endpoint.priority).min();
        let slots = |all: &[&Endpoint]| all.iter().map(|endpoint| endpoint.slot).collect();
        let zones = groups.iter().zip(0..).map(|((zone, all), group)| {
            let open = all.iter().copied().filter(open).filter(|endpoint| Some(endpoint.priority) == first);
            Zone { group, price: price(zone), open: open.map(|endpoint| endpoint.slot).collect() }
        });
        self.zones = zones.filter(|zone| !zone.open.is_empty()).collect();
        self.zones.sort_by_key(|zone| zone.price);
        groups.iter().map(|(zone, all)| Group { name: (*zone).to_owned(), slots: slots(all) }).collect()
    }

    fn choose(&mut self, _question: &Choose<'_>) -> Option<u32> {
        let mut idlest: Option<(u64, &Zone)> = None;
        for same in self.zones.chunk_by(|a, b| a.price == b.price) {
            for zone in same {
                // Per thousand endpoints, so that zones of different sizes compare.
                let under_way: u64 = zone.open.iter().map(|slot| u64::from(host::in_flight(*slot))).sum();
                let load = under_way * 1000 / zone.open.len() as u64;
                if idlest.is_none_or(|(least, _)| load < least) {
                    idlest = Some((load, zone));
                }
            }
            if idlest.is_some_and(|(load, _)| load < u64::from(self.config.attempts) * 1000) {
                break;
            }
        }
        idlest.map(|(_, zone)| zone.group)
    }
}

plimsoll_sdk::plugin! { partitioner: ZonesByPrice }
