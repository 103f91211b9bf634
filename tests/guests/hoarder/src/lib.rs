//! Has the host keep as much as it can: in tables, in policies of groups that are never the same again, in messages, in
//! histograms.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group};

/// What a balancer does at each pick, besides taking the first endpoint.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Greed {
    /// Entries of 4 KiB, each with a key of its own.
    #[serde(default)]
    entries: u64,
    /// Written to the log at each pick, so often.
    #[serde(default)]
    message: String,
    #[serde(default = "once")]
    times: u32,
    /// Values that go into a histogram at each pick.
    #[serde(default)]
    observed: Vec<f64>,
}

fn once() -> u32 {
    1
}

struct Hoarder {
    greed: Greed,
    next: u64,
}

impl Balancer for Hoarder {
    type Config = Greed;

    fn new(greed: Greed) -> Result<Self, ConfigErrors> {
        Ok(Self { greed, next: 0 })
    }

    fn endpoints(&mut self, _: &Endpoints) {
        // So that each policy has something in its table, also those of groups.
        if self.greed.entries > 0 {
            host::table::put(b"told", &[7; 4096], Duration::from_secs(3600));
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        for _ in 0..self.greed.entries {
            self.next += 1;
            host::table::put(&self.next.to_le_bytes(), &[7; 4096], Duration::from_secs(3600));
        }
        if !self.greed.message.is_empty() {
            (0..self.greed.times).for_each(|_| host::log::info(&self.greed.message));
        }
        self.greed.observed.iter().for_each(|value| host::observe("greed", *value));
        let ready = request.endpoints.ready();
        let fresh = ready.iter().find(|e| !request.is_tried(e.slot));
        fresh.or(ready.first()).map(|e| Choice::slot(e.slot))
    }
}

/// Divides into groups of other names each time.
struct Renaming {
    divided: u64,
}

impl Partitioner for Renaming {
    type Config = NoConfig;

    fn new(_: NoConfig) -> Result<Self, ConfigErrors> {
        Ok(Self { divided: 0 })
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        self.divided += 1;
        let slots: Vec<u32> = endpoints.iter().map(|e| e.slot).collect();
        (0..4).map(|part| Group { name: format!("{}-{part}", self.divided), slots: slots.clone() }).collect()
    }

    fn choose(&mut self, _: &Choose<'_>) -> Option<u32> {
        Some(0)
    }
}

plimsoll_sdk::plugin! { balancer: Hoarder, partitioner: Renaming }
