//! Keeps the clients of an address, or of a network, with the endpoint that answered them first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use binding::Sessions;
use plimsoll_sdk::prelude::*;

/// How much of an address tells clients apart, and how long they are remembered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Leading bits of an IPv4 address that tell clients apart.
    #[schemars(range(min = 1, max = 32))]
    v4_prefix: u8,
    /// Leading bits of an IPv6 address that tell clients apart. A site mostly has 64 or fewer, and a machine changes the
    /// rest as it likes.
    #[schemars(range(min = 1, max = 128))]
    v6_prefix: u8,
    /// How long a client is remembered after its last request.
    ttl: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { v4_prefix: 32, v6_prefix: 64, ttl: Duration::from_secs(1800) }
    }
}

/// Remembers networks.
#[derive(Debug)]
pub struct SourceIp {
    v4_prefix: u8,
    v6_prefix: u8,
    sessions: Sessions,
}

impl SourceIp {
    /// The network of a client, as bytes: four for IPv4, sixteen for IPv6.
    fn network(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        let address: IpAddr = std::str::from_utf8(request.get(0)?).ok()?.parse().ok()?;
        Some(match address.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.v4_prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).octets().to_vec()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.v6_prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).octets().to_vec()
            }
        })
    }
}

impl Affinity for SourceIp {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if !(1..=32).contains(&config.v4_prefix) {
            errors.push("/v4_prefix", format_args!("expected 1 to 32, not {}", config.v4_prefix));
        }
        if !(1..=128).contains(&config.v6_prefix) {
            errors.push("/v6_prefix", format_args!("expected 1 to 128, not {}", config.v6_prefix));
        }
        if config.ttl.is_zero() {
            errors.push("/ttl", "expected more than 0");
        }
        let sessions = Sessions::new(config.ttl);
        errors.or(Self { v4_prefix: config.v4_prefix, v6_prefix: config.v6_prefix, sessions })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::SourceAddress]
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.sessions.update(endpoints);
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        self.network(request).map_or(Binding::Unbound, |network| self.sessions.find(&network, endpoints))
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        if let Some(network) = self.network(request) {
            self.sessions.bind(&network, answer.slot, endpoints);
        }
        Vec::new()
    }
}

plimsoll_sdk::plugin! {
    summary: "keeps the clients of an address or network with the endpoint that answered them first",
    affinity: SourceIp
}

#[cfg(test)]
mod tests;
