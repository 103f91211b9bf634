//! The facts of load balancing, in one vocabulary for the proxy, the simulation and the conformance suite: whether an endpoint may
//! get traffic, what became of an attempt, what an endpoint says of its load, and what is thought of its health. As in the contract
//! of plugins, whose types these become and come from.

mod availability;
mod load;
mod opinion;
mod outcome;

pub use availability::Availability;
pub use load::LoadReport;
pub use opinion::{Evidence, HealthPlan, ProbeResult, Transition, Verdict};
pub use outcome::{Outcome, OutcomeClass};
