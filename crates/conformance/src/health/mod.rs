//! What a cluster may rely on whose endpoints are judged. [`ward`] plays the host: it lets time pass, probes, and tells
//! what became of attempts. That a share of a cluster stays in service, and when probes are due, is the host's affair and
//! no plugin's: properties H7, H13 and H14 are held by its own tests.

mod independent;
mod kinds;
mod probes;
mod sound;
mod traffic;
mod ward;

pub(crate) use kinds::shows;
use ward::Ward;

use crate::trial::{Property, Trial, Use};
use crate::{CreateFailure, Endpoint, HealthPlan, Outcome, ProbeResult, Subject, Transition};

pub(crate) fn properties() -> [&'static [Property]; 4] {
    [probes::PROPERTIES, traffic::PROPERTIES, independent::PROPERTIES, sound::PROPERTIES]
}

/// An evaluator of health under test. An error is a failure of the plugin: a trap, a deadline that was passed.
pub trait Health {
    /// What it said of itself when it was created.
    fn plan(&self) -> HealthPlan;

    /// Tells it the endpoints of the next generation.
    fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), String>;

    /// Tells it the endpoints of a generation.
    fn replace_endpoints(&mut self, generation: u64, endpoints: &[Endpoint]) -> Result<(), String>;

    fn probed(&mut self, now_ms: u64, probe: &ProbeResult) -> Result<Vec<Transition>, String>;

    /// What became of attempts, 1024 at the most.
    fn outcomes(&mut self, now_ms: u64, batch: &[Outcome]) -> Result<Vec<Transition>, String>;

    fn tick(&mut self, now_ms: u64) -> Result<Vec<Transition>, String>;

    fn save(&mut self) -> Result<Vec<u8>, String>;

    fn restore(&mut self, state: &[u8]) -> Result<bool, String>;

    /// Destroys the policy and creates it again under its number, without endpoints.
    fn create_again(&mut self) -> Result<(), String>;

    /// Memory of the instance; none where that is not known.
    fn memory_bytes(&self) -> Option<u64>;
}

/// A plugin with its configuration.
#[derive(Clone, Copy)]
struct Ground<'a> {
    subject: &'a dyn Subject,
    config: &'a str,
}

impl<'a> Ground<'a> {
    fn of(trial: &Trial<'a>) -> Self {
        Self { subject: trial.subject, config: Use::config(trial.uses, "health") }
    }

    /// In charge of so many endpoints.
    fn ward(&self, endpoints: u32) -> Result<Ward, String> {
        self.ward_of(Endpoint::several(endpoints))
    }

    fn ward_of(&self, endpoints: Vec<Endpoint>) -> Result<Ward, String> {
        let health = self.several(1)?.pop().ok_or_else(|| "creating a policy: none was made".to_owned())?;
        Ward::new(health, endpoints)
    }

    fn several(&self, count: u32) -> Result<Vec<Box<dyn Health>>, String> {
        let made = self.subject.healths(self.config, count);
        made.map_err(|failure: CreateFailure| format!("creating a policy: {failure}"))
    }
}
