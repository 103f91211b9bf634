//! The only module that knows wasmtime. The rest of the host sees roles as plain Rust types: a policy is created from a
//! configuration, gets endpoints, and answers; whatever goes wrong inside a plugin ends here as a [`Fault`], never as a
//! failed request.
//!
//! From the ground up: `engine` compiles and limits; `guest` is what a store holds, `imports` what guests may call;
//! `role` says what a role is, `live` is a guest that runs, `instance` keeps its policies and rebuilds it, `shadow` has a
//! candidate decide beside one, `tape` writes down what happens to one and `replay` plays it, `handle` is a policy of a role; `roles` has a file for each; `loader` turns bytes into a [`Plugin`]. None of them uses what comes after
//! it.

mod api;
mod breaker;
mod candidate;
mod compile_cache;
mod component;
mod contract;
#[cfg(test)]
mod contract_tests;
mod convert;
mod create_error;
mod deadline;
mod details;
mod differences;
mod digest;
mod engine;
mod events;
mod fault;
mod grants;
mod guest;
mod handle;
mod imports;
mod inspect;
mod instance;
mod lifecycle;
mod live;
mod loader;
mod memory;
mod messages;
mod node;
mod policy;
mod recording;
mod replay;
mod role;
mod roles;
mod route;
mod shadow;
mod shared_table;
mod table;
mod tape;
mod ticking;
mod trial;
mod values;
mod wasi;

pub use breaker::{Breaker, BreakerState};
pub use candidate::candidate_name;
pub use component::{Plugin, Source};
pub use convert::{Attribute, CertificatePart, Values, body_prefix};
pub use create_error::CreateError;
pub use deadline::thread_cpu_time;
pub use details::{Details, Needs};
pub use differences::{Difference, Differences};
pub use digest::digest_of;
pub use engine::{Engine, Limits};
pub use events::PluginEvent;
pub use fault::{Fault, FaultKind, FaultReport};
pub use grants::Grants;
pub use inspect::{Inspection, inspect};
pub use instance::Instance;
pub use lifecycle::Manifest;
pub use live::describe;
pub use loader::LoadError;
pub use memory::Services;
pub use node::Node;
pub use plimsoll_model::{Evidence, HealthPlan, ProbeResult, Transition, Verdict};
pub use policy::{ConfigMistake, KnownClusters, PolicyConfig, Role};
pub use recording::{Event as RecordingEvent, RECORDING_FORMAT};
pub use replay::Player;
pub use roles::{
    Action, Affinity, AffinityPlan, Balancer, BalancerPlan, Binding, Choice, Decision, Discovery, DiscoveryAction,
    DiscoveryPlan, Edits, Evaluator, Group, HeaderEdit, OutwardAnswer, OutwardCall, OutwardError, Partitioner,
    PartitionerPlan, ProbeAction, ProbeEvent, Prober, ProberPlan, ProberTls, Redirect, Request as PickRequest,
    Response, Router, RouterPlan, Target, Transport, prepare,
};
pub use route::{Limit, RouteRetry, RouteSettings};
pub use shadow::{SHADOWED, ShadowPlace};
pub use tape::Recorded;
pub use trial::{
    ActionOnTrial, AffinityOnTrial, BalancerOnTrial, DecisionOnTrial, EvaluatorOnTrial, PolicyOnTrial, named_clusters,
};
pub use values::AttributeValues;
