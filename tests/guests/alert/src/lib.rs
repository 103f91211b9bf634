//! An evaluator of health that hears everything, says so in the log, and judges nobody. It takes any configuration.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{HealthPlan, ProbeResult, Transition};

#[derive(Deserialize, JsonSchema)]
struct Anything {}

struct Alert;

impl Health for Alert {
    type Config = Anything;

    fn new(_: Anything) -> Result<Self, ConfigErrors> {
        Ok(Self)
    }

    fn plan(&self) -> HealthPlan {
        HealthPlan { outcomes: true, tick: Some(Duration::from_millis(100)), ..HealthPlan::default() }
    }

    fn probed(&mut self, _: u64, _: &ProbeResult, _: &Endpoints) -> Vec<Transition> {
        Vec::new()
    }

    fn outcomes(&mut self, _: u64, _: &[Outcome], _: &Endpoints) -> Vec<Transition> {
        host::log::info("it heard an outcome");
        Vec::new()
    }

    fn tick(&mut self, _: u64, _: &Endpoints) -> Vec<Transition> {
        host::log::info("it heard a tick");
        Vec::new()
    }
}

plimsoll_sdk::plugin! { health: Alert }
