//! What a Plimsoll plugin is written with. Pick the trait of the role, implement it for a type with a serde
//! configuration, and name it in [`plugin!`]:
//!
//! ```
//! use plimsoll_sdk::prelude::*;
//!
//! /// Always the first endpoint that has not been tried.
//! pub struct First;
//!
//! impl Balancer for First {
//!     type Config = NoConfig;
//!
//!     fn new(_: NoConfig) -> Result<Self, ConfigErrors> {
//!         Ok(Self)
//!     }
//!
//!     fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
//!         let ready = request.endpoints.ready();
//!         let fresh = ready.iter().find(|e| !request.is_tried(e.slot));
//!         fresh.or(ready.first()).map(|e| Choice::slot(e.slot))
//!     }
//! }
//!
//! plimsoll_sdk::plugin! { name: "first", summary: "sends everything to the first endpoint", balancer: First }
//!
//! // The same code runs natively against a fake host.
//! let mut bench = plimsoll_sdk::testing::BalancerBench::<First>::new("{}").unwrap();
//! bench.endpoints(&plimsoll_sdk::testing::endpoints(&[1, 1]));
//! assert_eq!(bench.pick_slot(None), Some(0));
//! ```
//!
//! A configuration of its own takes `serde` (feature `derive`) among the crate's dependencies: its derive macro wants to
//! find it there. [`JsonSchema`] describes it to operators.
//!
//! The SDK holds the policies of the instance and the endpoints of each, and keeps hold of the contract: a policy number
//! nobody created or a change that does not fit what is known gets a safe answer, never a trap. What the host offers is
//! in [`host`]; [`testing`] stands in for it under `cargo test`.

// The macros write `::plimsoll_sdk`, in here too.
extern crate self as plimsoll_sdk;

/// Constant time, and 1 KB of code where that of the standard library is 8. Memory it took for one large piece is used
/// again, but not joined with what it took for the next: a piece that grows by ever so little each time, which `Vec` does
/// not, would waste some.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

mod affinity;
mod balancer;
mod bounded_load;
mod config;
mod discovery;
mod draw;
mod duration;
mod endpoints;
mod filter;
mod health;
pub mod host;
mod json;
mod lifecycle;
mod panic;
mod partitioner;
mod policies;
mod prober;
mod request;
mod router;
pub mod schema;
mod sort;
mod sorted;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod turns;
#[doc(hidden)]
pub mod wit;

pub use affinity::{Affinity, Answer, Binding, HeaderEdit};
pub use balancer::{Balancer, Choice, Pick};
pub use bounded_load::BoundedLoad;
pub use config::{ConfigErrors, NoConfig, from_json, pointer};
pub use discovery::{
    Discovery, DiscoveryAction, DiscoveryPlan, FoundEndpoint, OutwardAnswer, OutwardCall, OutwardError,
};
pub use draw::Draw;
pub use duration::Duration;
pub use endpoints::{Endpoints, Ready};
pub use filter::{
    Answer as CallAnswer, Call, CallError, ChunkVerdict, Edit, Ending, Filter, FilterPlan, Phases, Reply, Response,
    Verdict,
};
pub use health::{Evidence, Health, HealthPlan, ProbeResult, Transition, Verdict as HealthVerdict};
pub use partitioner::{Choose, Group, Partitioner};
pub use prober::{
    EndpointMode, Handshake, ProbeAction, ProbeEvent, ProbeLoad, ProbeRequest, ProbeResponse, ProbeVerdict, Prober,
    Target, Tls, Transport,
};
pub use request::Request;
pub use router::{
    Action, Decision, Mirror, PathRewrite, Redirect, Response as DirectResponse, Retry, Rewrite, Route, RouteAffinity,
    RouteEdit, Router, Timeouts,
};
pub use turns::Turns;
pub use wit::imports::types::{
    Attribute, Availability, Change, Claim, ConfigError, Endpoint, Header, Outcome, OutcomeClass, Policy,
};

pub use plimsoll_sdk_macros::{JsonSchema, json_schema};
pub use schema::{JsonSchema, Schema};
pub use serde::Deserialize;
pub use sort::sort_by;
pub use sorted::Sorted;

/// What most plugins name.
pub mod prelude {
    pub use crate::{
        Action, Affinity, Answer, Attribute, Availability, Balancer, Binding, Change, Choice, ConfigErrors, Decision,
        Discovery, Duration, Endpoint, Endpoints, Filter, Header, HeaderEdit, Health, JsonSchema, NoConfig, Outcome,
        OutcomeClass, Partitioner, Pick, Prober, Ready, Request, Route, Router, host,
    };
    pub use serde::Deserialize;
}

/// For the expansion of [`plugin!`] only.
#[doc(hidden)]
pub mod __private {
    pub use crate::affinity::Exports as AffinityExports;
    pub use crate::balancer::Exports as BalancerExports;
    pub use crate::discovery::Exports as DiscoveryExports;
    pub use crate::filter::Exports as FilterExports;
    pub use crate::health::Exports as HealthExports;
    pub use crate::lifecycle::{manifest, named, schema};
    pub use crate::panic::have_panics_told;
    pub use crate::partitioner::Exports as PartitionerExports;
    pub use crate::prober::Exports as ProberExports;
    pub use crate::router::Exports as RouterExports;
    pub use crate::wit;
}
