use plimsoll_sdk::prelude::*;

use crate::fault::{At, Faults};

/// No cluster of a test has so many endpoints.
const NO_SLOT: u32 = 4_000_000;

pub(crate) struct Faulty {
    faults: Faults,
}

impl Balancer for Faulty {
    type Config = Faults;

    fn new(faults: Faults) -> Result<Self, ConfigErrors> {
        Ok(Self { faults: faults.created()? })
    }

    fn wants_outcomes(&self) -> bool {
        self.faults.concerns(At::Outcomes)
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.faults.strike_at(endpoints);
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        if self.faults.strike(At::Decide) {
            return Some(Choice::slot(NO_SLOT));
        }
        let ready = request.endpoints.ready();
        let fresh = ready.iter().find(|e| !request.is_tried(e.slot));
        fresh.or(ready.first()).map(|e| Choice::slot(e.slot))
    }

    fn outcomes(&mut self, _: &[Outcome]) {
        self.faults.strike(At::Outcomes);
    }

    fn save(&self) -> Vec<u8> {
        self.faults.strike(At::Save);
        b"state".to_vec()
    }

    fn restore(&mut self, _: &[u8]) -> bool {
        self.faults.strike(At::Restore);
        true
    }
}
