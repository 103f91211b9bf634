//! Policies for the conformance suite and the lab: every function of a role by itself, with whatever comes of it.

mod affinity;
mod balancer;
mod discovery;
mod health;
mod partitioner;
mod policy;
mod prober;
mod router;

pub use affinity::AffinityOnTrial;
pub use balancer::BalancerOnTrial;
pub use health::EvaluatorOnTrial;
pub use policy::PolicyOnTrial;
pub use router::{ActionOnTrial, DecisionOnTrial, named_clusters};
