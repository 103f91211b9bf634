use crate::{Endpoint, HealthPlan, Outcome, ProbeResult, Transition};

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
