//! Keeps requests in the proxy's own zone while that can carry them, which saves time and the price of traffic between
//! zones. What it cannot carry goes to the other zones, in proportion to what is ready there.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group};

/// Where the proxy is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The zone of the proxy. Default: that of its `node`; without one, every endpoint is local.
    zone: String,
    /// How much more than its share an endpoint can carry, in percent of the share.
    #[schemars(range(min = 100, max = 1000))]
    overprovisioning_percent: u32,
    /// Endpoints of the own zone that must be ready for it to be preferred at all.
    #[schemars(range(min = 1, max = 10_000))]
    minimum_local: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { zone: String::new(), overprovisioning_percent: 140, minimum_local: 1 }
    }
}

/// Divides into the own zone and the rest.
#[derive(Debug)]
pub struct Locality {
    config: Config,
    /// Share of the own zone, in thousandths; none when nothing is ready.
    local: Option<u32>,
}

const WHOLE: u32 = 1000;
const LOCAL: u32 = 0;
const OTHER: u32 = 1;

impl Partitioner for Locality {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if !(100..=1000).contains(&config.overprovisioning_percent) {
            let message = format_args!("expected 100 to 1000, not {}", config.overprovisioning_percent);
            return Err(ConfigErrors::at("/overprovisioning_percent", message));
        }
        if !(1..=10_000).contains(&config.minimum_local) {
            let message = format_args!("expected 1 to 10000, not {}", config.minimum_local);
            return Err(ConfigErrors::at("/minimum_local", message));
        }
        let zone = if config.zone.is_empty() { host::node().zone } else { config.zone };
        Ok(Self { config: Config { zone, ..config }, local: None })
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        let is_local = |endpoint: &Endpoint| self.config.zone.is_empty() || endpoint.zone == self.config.zone;
        let slots = |local: bool| -> Vec<u32> {
            endpoints.iter().filter(|e| is_local(e) == local).map(|endpoint| endpoint.slot).collect()
        };
        let weight = |endpoint: &Endpoint| u64::from(endpoint.weight.min(65_535));
        let usable = |endpoint: &&Endpoint| endpoint.availability == Availability::Ready && endpoint.weight > 0;
        let local = || endpoints.iter().filter(|e| is_local(e));
        let members: u64 = local().map(weight).sum();
        let ready: u64 = local().filter(usable).map(weight).sum();
        let ready_count = local().filter(usable).count();
        let other_ready = endpoints.iter().filter(|e| !is_local(e)).filter(usable).count();
        self.local = match (ready_count, other_ready) {
            (0, 0) => None,
            (_, 0) => Some(WHOLE),
            (ready_count, _) if ready_count < self.config.minimum_local as usize => Some(0),
            _ => {
                let share = u64::from(WHOLE) * ready * u64::from(self.config.overprovisioning_percent) / 100;
                Some((share / members.max(1)).min(WHOLE.into()) as u32)
            }
        };
        vec![
            Group { name: "local".into(), slots: slots(true) },
            Group { name: "other zones".into(), slots: slots(false) },
        ]
    }

    fn choose(&mut self, question: &Choose<'_>) -> Option<u32> {
        match self.local? {
            0 => Some(OTHER),
            // A further attempt may need to leave a zone that has only one endpoint; the balancer inside cannot.
            WHOLE if question.attempt == 1 => Some(LOCAL),
            local if question.attempt == 1 => Some(if host::random_below(WHOLE) < local { LOCAL } else { OTHER }),
            _ => Some(self.for_another_attempt(question)),
        }
    }
}

impl Locality {
    /// Further attempts go on in the own zone as long as it has endpoints that were not tried yet.
    fn for_another_attempt(&self, question: &Choose<'_>) -> u32 {
        let usable = |endpoint: &&Endpoint| endpoint.availability == Availability::Ready && endpoint.weight > 0;
        let is_local = |endpoint: &&Endpoint| self.config.zone.is_empty() || endpoint.zone == self.config.zone;
        let ready = || question.endpoints.iter().filter(usable);
        let local = ready().filter(is_local).count();
        let others = ready().count() - local;
        if others == 0 || (question.attempt as usize) <= local { LOCAL } else { OTHER }
    }
}

plimsoll_sdk::plugin! {
    summary: "endpoints of the own zone first, others for what these cannot carry",
    partitioner: Locality
}

#[cfg(test)]
mod tests;
