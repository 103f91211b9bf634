use plimsoll_model::Outcome;

use crate::balancer::Member;

/// Who ejects endpoints by how attempts end: the evaluator of a proxy.
pub trait Evaluator {
    /// Tells the endpoints that there are from now on.
    fn set_endpoints(&mut self, members: &[Member]);

    /// Whether it asked for outcomes.
    fn wants_outcomes(&self) -> bool;

    /// Tells it what became of attempts, [`BATCH`](crate::BATCH) at the most.
    fn outcomes(&mut self, now_ms: u64, batch: &[Outcome]) -> Vec<Opinion>;

    /// How often it wants to look at the clock, if it does.
    fn tick_ms(&self) -> Option<u64>;

    fn tick(&mut self, now_ms: u64) -> Vec<Opinion>;
}

/// A changed opinion about an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    pub slot: u32,
    pub is_healthy: bool,
}
