use plimsoll_sdk::prelude::*;

use crate::fault::{At, Faults};

pub(crate) struct Faulty {
    faults: Faults,
}

impl Router for Faulty {
    type Config = Faults;

    fn new(faults: Faults) -> Result<Self, ConfigErrors> {
        Ok(Self { faults: faults.created()? })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Path]
    }

    fn clusters(&self) -> Vec<String> {
        self.faults.clusters.clone()
    }

    fn fallback(&self) -> Option<u32> {
        self.faults.falls_back.then_some(0)
    }

    fn route(&mut self, request: &Request<'_>) -> Decision {
        let path = request.path().unwrap_or_default();
        let lies = path.starts_with(self.faults.path_prefix.as_bytes()) && self.faults.strike(At::Decide);
        let action = Action::Forward(if lies { u32::MAX } else { 0 });
        Decision { action, route: None, repeatable: true }
    }
}
