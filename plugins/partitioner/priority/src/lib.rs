//! The first priority level takes all requests while enough of it is healthy; the next takes what it cannot carry. A level
//! can carry its healthy share times the overprovisioning factor, as in Envoy: with 1.4, all while 72 % of it is healthy.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group, sort_by};

/// When the next level is drawn on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much more than its share an endpoint can carry, in percent of the share.
    #[schemars(range(min = 100, max = 1000))]
    overprovisioning_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { overprovisioning_percent: 140 }
    }
}

/// Divides by priority level.
#[derive(Debug)]
pub struct Priority {
    overprovisioning_percent: u32,
    /// For each level in order, the sum of its own part of the load and those of the levels before, in thousandths.
    until: Vec<u32>,
}

/// All of the load.
const WHOLE: u32 = 1000;
/// Groups that a partitioner may have. Levels beyond them are one with the last.
const MOST_LEVELS: usize = 1024;

impl Partitioner for Priority {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        if !(100..=1000).contains(&config.overprovisioning_percent) {
            let message = format_args!("expected 100 to 1000, not {}", config.overprovisioning_percent);
            return Err(ConfigErrors::at("/overprovisioning_percent", message));
        }
        Ok(Self { overprovisioning_percent: config.overprovisioning_percent, until: Vec::new() })
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        let mut levels: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.priority).collect();
        sort_by(&mut levels, Ord::cmp);
        levels.dedup();
        levels.truncate(MOST_LEVELS);
        let last = if levels.len() == MOST_LEVELS { levels[MOST_LEVELS - 1] } else { u32::MAX };
        let of_level = |level: u32| endpoints.iter().filter(move |endpoint| endpoint.priority.min(last) == level);
        let capacities: Vec<u32> = levels
            .iter()
            .map(|&level| {
                let weight = |endpoint: &Endpoint| u64::from(endpoint.weight.min(65_535));
                let whole: u64 = of_level(level).map(weight).sum();
                let ready = |endpoint: &&Endpoint| endpoint.availability == Availability::Ready;
                let ready: u64 = of_level(level).filter(ready).map(weight).sum();
                let share = u64::from(WHOLE) * ready * u64::from(self.overprovisioning_percent) / 100;
                if ready == 0 { 0 } else { (share / whole).clamp(1, WHOLE.into()) as u32 }
            })
            .collect();
        self.until = parts(&capacities);
        let group = |&level: &u32| Group {
            name: format!("priority {level}"),
            slots: of_level(level).map(|endpoint| endpoint.slot).collect(),
        };
        levels.iter().map(group).collect()
    }

    fn choose(&mut self, _question: &Choose<'_>) -> Option<u32> {
        // Mostly one level takes all, and no random number is needed.
        let at = match self.until.as_slice() {
            [] | [.., 0] => return None,
            [WHOLE, ..] => 0,
            _ => {
                let drawn = host::random_below(WHOLE);
                self.until.iter().position(|until| drawn < *until)?
            }
        };
        u32::try_from(at).ok()
    }
}

/// What each level takes, as the ends of the parts: in order, as much as it can carry. When all together cannot carry
/// everything, each gets in proportion to what it can.
fn parts(capacities: &[u32]) -> Vec<u32> {
    let total: u32 = capacities.iter().sum();
    let mut left = WHOLE;
    let mut until = 0;
    let mut ends: Vec<u32> = capacities
        .iter()
        .map(|capacity| {
            let part = if total >= WHOLE { (*capacity).min(left) } else { capacity * WHOLE / total.max(1) };
            left -= part;
            until += part;
            until
        })
        .collect();
    // What rounding left over goes to the last level that carries anything.
    let last = capacities.iter().rposition(|capacity| *capacity > 0);
    if let Some(last) = last
        && ends.last().is_some_and(|end| *end < WHOLE)
    {
        ends[last..].fill(WHOLE);
    }
    ends
}

plimsoll_sdk::plugin! {
    summary: "the first priority level that can carry the load, the next for the rest",
    partitioner: Priority
}

#[cfg(test)]
mod tests;
