use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group};

use crate::fault::{At, Faults};

/// No cluster of a test is divided into so many groups.
const NO_GROUP: u32 = 4_000_000;

/// One group of the first endpoint.
pub(crate) struct Faulty {
    faults: Faults,
}

impl Partitioner for Faulty {
    type Config = Faults;

    fn new(faults: Faults) -> Result<Self, ConfigErrors> {
        Ok(Self { faults: faults.created()? })
    }

    fn is_strict(&self) -> bool {
        self.faults.strict
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        self.faults.strike_at(endpoints);
        vec![Group { name: "first".into(), slots: endpoints.iter().take(1).map(|e| e.slot).collect() }]
    }

    fn choose(&mut self, _: &Choose<'_>) -> Option<u32> {
        Some(if self.faults.strike(At::Decide) { NO_GROUP } else { 0 })
    }
}
