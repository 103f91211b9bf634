//! The only module that knows wasmtime. The rest of the host sees roles as plain Rust types: a policy is created from a
//! configuration, gets endpoints, and answers; whatever goes wrong inside a plugin ends here as a [`Fault`], never as a
//! failed request.
//!
//! `engine` compiles and limits, `loader` turns bytes into a [`Plugin`], `instance` is one live copy of it with its
//! policies, `breaker` decides when a failing plugin is left alone, `imports` is what guests may call, and each role has
//! a file that translates.

mod affinity;
mod api;
mod balancer;
mod breaker;
mod convert;
mod engine;
mod fault;
mod handle;
mod health;
mod imports;
mod inspect;
mod instance;
mod lifecycle;
mod loader;
mod memory;
mod messages;
mod partitioner;
mod policy;
mod prober;
mod router;
mod table;
mod trial;
mod values;
mod wasi;

pub use affinity::{Affinity, AffinityPlan, Binding, HeaderEdit};
pub use balancer::{Balancer, BalancerPlan, Choice, Request as PickRequest, prepare};
pub use breaker::{Breaker, BreakerState};
pub use convert::{Attribute, Values};
pub use engine::{Engine, Limits};
pub use fault::{Fault, FaultKind};
pub use health::{Evaluator, Evidence, HealthPlan, ProbeResult, Transition, Verdict};
pub use inspect::{Inspection, inspect};
pub use instance::{CreateError, Instance};
pub use lifecycle::Manifest;
pub use loader::{Grants, LoadError, Plugin, Source};
pub use memory::Services;
pub use partitioner::{Group, Partitioner, PartitionerPlan};
pub use policy::{ConfigMistake, PolicyConfig, Role};
pub use prober::{ProbeAction, ProbeEvent, Prober, Target, Transport};
pub use router::{Action, Decision, KnownClusters, Redirect, Response, Router, RouterPlan};
pub use trial::{
    ActionOnTrial, AffinityOnTrial, BalancerOnTrial, DecisionOnTrial, Edits, EvaluatorOnTrial, PolicyOnTrial, describe,
    named_clusters,
};
pub use values::AttributeValues;
