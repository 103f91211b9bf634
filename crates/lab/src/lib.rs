//! A lab to choose a balancer by: endpoints, traffic and the workers of proxies, simulated event by event, in which
//! balancers are compared. What they are given follows from a seed, and what comes of it is the same every time.
//!
//! Pure: no sockets, no clock, no engine. Who can run a balancer implements [`Balancer`] and gets [`Measured`]; a
//! [`Report`] of several is a table ([`text`]), a page ([`page`]) or JSON.
//!
//! A [`Scenario`] says what there is and what happens. An endpoint is a queue before a number of places that work at a
//! time. What the proxy does by itself is modelled as it does it: attempts under way are counted over all workers of a
//! proxy and not over those of another, outcomes are told in batches to the worker whose they are, what fails is
//! tried elsewhere as its [`Resilience`] says, an [`Evaluator`] ejects endpoints, those that are full have requests wait, and
//! who is bound to an endpoint waits for room at that. What is decided there is decided by the core that the proxy has, too.

mod attempts;
mod balancer;
mod claim;
mod cluster;
mod evaluator;
mod keys;
mod measure;
mod numbers;
pub mod page;
mod proxy;
pub mod recording;
mod report;
mod requests;
mod results;
mod scenario;
mod server;
mod simulation;
pub mod text;
mod words;
mod workload;

pub use attempts::ERROR;
pub use balancer::{Asked, Balancer, Fault, Member};
pub use cluster::members;
pub use evaluator::{Evaluator, Opinion};
pub use keys::KeysMoved;
pub use measure::SLICES;
pub use plimsoll_model::{LoadReport, Outcome, OutcomeClass};
pub use plimsoll_resilience::{EjectionBounds, Policy, Terms};
pub use report::{Entry, Mark, Report, SHAPE, Setting};
pub use results::{
    CURVE_NINES, CURVE_STEPS_PER_NINE, EndpointMeasured, Failed, Latency, Measured, OverTime, curve_shares,
};
pub use scenario::{Arrivals, Endpoint, Event, Keys, Memory, Resilience, Scenario, Service, What};
pub use simulation::{BATCH, run};
