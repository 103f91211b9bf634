use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Evidence, HealthPlan, HealthVerdict, ProbeResult, Transition};

use crate::fault::{At, Faults};

const NO_SLOT: u32 = 4_000_000;

/// Believes every probe at once.
pub(crate) struct Faulty {
    faults: Faults,
}

impl Health for Faulty {
    type Config = Faults;

    fn new(faults: Faults) -> Result<Self, ConfigErrors> {
        Ok(Self { faults: faults.created()? })
    }

    fn plan(&self) -> HealthPlan {
        HealthPlan { outcomes: self.faults.concerns(At::Outcomes), ..HealthPlan::default() }
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.faults.strike_at(endpoints);
    }

    fn probed(&mut self, _: u64, probe: &ProbeResult, _: &Endpoints) -> Vec<Transition> {
        let slot = if self.faults.strike(At::Decide) { NO_SLOT } else { probe.slot };
        let verdict = if probe.passed { HealthVerdict::Healthy } else { HealthVerdict::Unhealthy };
        vec![Transition { slot, verdict, evidence: Evidence::Probe, reason: probe.detail.clone() }]
    }

    fn outcomes(&mut self, _: u64, _: &[Outcome], _: &Endpoints) -> Vec<Transition> {
        self.faults.strike(At::Outcomes);
        Vec::new()
    }
}
