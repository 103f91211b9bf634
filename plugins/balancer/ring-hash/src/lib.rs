//! Consistent hashing on a ring of points (D. Karger et al., 1997), laid out as nginx or Envoy do it. [`ring`] holds the
//! points, [`layout`] says where they are.

mod crc32;
mod layout;
mod point;
mod ring;

use plimsoll_sdk::BoundedLoad;
use plimsoll_sdk::prelude::*;
use ring::Ring;

/// Shape of the ring.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the points of an endpoint are.
    layout: LayoutName,
    /// Layout `envoy`: points of the ring at the least.
    #[schemars(range(min = 1, max = 524_288))]
    minimum_ring_size: Option<u32>,
    /// Points of the ring at the most. More make shares more even; each takes 16 bytes on a worker.
    #[schemars(range(min = 1, max = 524_288))]
    maximum_ring_size: u32,
    /// An endpoint gets no more than this percentage of the mean of attempts under way for its weight, 100 at the least; a
    /// key whose endpoint has as many goes on to the next on the ring. 0 for no bound.
    #[schemars(range(max = 10_000))]
    hash_balance_factor: u32,
}

/// A published layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LayoutName {
    /// 160 points for each unit of weight, as in nginx's `hash ... consistent`.
    Nginx,
    /// As many as make up a ring of `minimum_ring_size` points, as in Envoy's `RING_HASH` with XXH64.
    Envoy,
}

impl Default for Config {
    fn default() -> Self {
        Self { layout: LayoutName::Nginx, minimum_ring_size: None, maximum_ring_size: 1 << 17, hash_balance_factor: 0 }
    }
}

/// What the points are made by.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Nginx { most: u32 },
    Envoy { least: u32, most: u32 },
}

const LARGEST: u32 = 1 << 19;
/// Envoy's default.
const MINIMUM: u32 = 1024;

/// Looks keys up on a ring.
#[derive(Debug)]
pub struct RingHash {
    layout: Layout,
    ring: Ring,
    bounded: BoundedLoad,
}

impl Balancer for RingHash {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let most = config.maximum_ring_size;
        let least = config.minimum_ring_size.unwrap_or(1);
        for (path, size) in [("/minimum_ring_size", least), ("/maximum_ring_size", most)] {
            if !(1..=LARGEST).contains(&size) {
                errors.push(path, format_args!("expected 1 to {LARGEST}, not {size}"));
            }
        }
        let layout = match (config.layout, config.minimum_ring_size) {
            (LayoutName::Nginx, None) => Layout::Nginx { most },
            (LayoutName::Envoy, least) => Layout::Envoy { least: least.unwrap_or_else(|| MINIMUM.min(most)), most },
            (LayoutName::Nginx, Some(_)) => {
                errors.push("/minimum_ring_size", "only layout `envoy` has it: nginx's has 160 points for each weight");
                Layout::Nginx { most }
            }
        };
        if let Layout::Envoy { least, most } = layout
            && least > most
        {
            errors.push("/minimum_ring_size", format_args!("expected at most maximum_ring_size, which is {most}"));
        }
        let bounded = BoundedLoad::new(config.hash_balance_factor).unwrap_or_else(|more| {
            errors.extend(more);
            BoundedLoad::default()
        });
        errors.or(Self { layout, ring: Ring::default(), bounded })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.ring.update(endpoints, &self.layout);
        self.bounded.update(endpoints);
    }

    fn prepares(&self) -> bool {
        true
    }

    fn prepare(&self) -> Vec<u32> {
        self.ring.prepared()
    }

    fn adopt(&mut self, prepared: Vec<u32>) {
        self.ring.adopt(prepared);
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let key = request.key.unwrap_or_else(host::random);
        let position = match self.layout {
            // So that a key that is a CRC-32 gives nginx's choice.
            Layout::Nginx { .. } => key as u32,
            Layout::Envoy { .. } => (key >> 32) as u32,
        };
        self.bounded.choose(request, self.ring.from(position)).map(Choice::slot)
    }
}

plimsoll_sdk::plugin! { summary: "sends the same key to the same endpoint, by a ring of points", balancer: RingHash }

#[cfg(test)]
mod tests;
