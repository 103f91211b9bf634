use plimsoll_sdk::prelude::*;

use crate::fault::{At, Faults};

const NO_SLOT: u32 = 4_000_000;

pub(crate) struct Faulty {
    faults: Faults,
}

impl Affinity for Faulty {
    type Config = Faults;

    fn new(faults: Faults) -> Result<Self, ConfigErrors> {
        Ok(Self { faults: faults.created()? })
    }

    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.faults.strike_at(endpoints);
    }

    fn find(&mut self, _: &Request<'_>, _: &Endpoints) -> Binding {
        if self.faults.strike(At::Decide) { Binding::Bound(NO_SLOT) } else { Binding::Unbound }
    }

    fn bind(&mut self, _: &Request<'_>, answer: &Answer<'_>, _: &Endpoints) -> Vec<HeaderEdit> {
        vec![HeaderEdit::append("x-bound", answer.slot.to_string())]
    }
}
