//! One endpoint at a time: the first that is ready, in the order of the slots, which is that of the configuration. The
//! others wait.

use plimsoll_sdk::prelude::*;

/// What happens when an earlier endpoint is back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Go back to the first endpoint as soon as it is ready again. Otherwise stay with the one in use until that fails.
    fail_back: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { fail_back: true }
    }
}

/// Takes the first.
#[derive(Debug)]
pub struct Failover {
    fail_back: bool,
    /// The endpoint in use.
    current: Option<u32>,
}

impl Balancer for Failover {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { fail_back: config.fail_back, current: None })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let ready = endpoints.ready();
        let first = ready.first().map(|endpoint| endpoint.slot);
        self.current = match self.current {
            Some(current) if !self.fail_back => next(ready, current),
            _ => first,
        };
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let current = self.current?;
        if !request.is_tried(current) {
            return Some(Choice::slot(current));
        }
        let ready = request.endpoints.ready();
        let other = ready.iter().find(|endpoint| !request.is_tried(endpoint.slot));
        Some(Choice::slot(other.map_or(current, |endpoint| endpoint.slot)))
    }
}

/// The endpoint that is in use, or the next after it that is ready; after the last comes the first.
fn next(ready: &[Ready], current: u32) -> Option<u32> {
    let at_or_after = ready.iter().find(|endpoint| endpoint.slot >= current);
    at_or_after.or_else(|| ready.first()).map(|endpoint| endpoint.slot)
}

plimsoll_sdk::plugin! { profiles: ["balancer/packing"], summary: "one endpoint at a time, in order", balancer: Failover }

#[cfg(test)]
mod tests;
