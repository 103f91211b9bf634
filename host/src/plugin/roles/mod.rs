//! The roles of the contract, one file each: what a policy of the role says when it is created, how it is told of
//! endpoints, and the handle by which the rest of the host asks it. Nothing below this module names a role.

mod affinity;
mod balancer;
mod discovery;
mod filter;
mod health;
mod partitioner;
mod prober;
mod router;

pub(super) use affinity::AffinityGuest;
pub use affinity::{Affinity, AffinityPlan, Binding, Edits, HeaderEdit};
pub use balancer::{Balancer, BalancerPlan, Choice, Request, prepare};
pub(super) use balancer::{BalancerGuest, hear, needs, pick_in_words};
pub(super) use discovery::DiscoveryGuest;
pub use discovery::{Discovery, DiscoveryAction, DiscoveryPlan, OutwardAnswer, OutwardCall, OutwardError};
pub use health::Evaluator;
pub(super) use health::HealthGuest;
pub(super) use partitioner::PartitionerGuest;
pub use partitioner::{Group, Partitioner, PartitionerPlan};
pub(super) use prober::ProberGuest;
pub use prober::{ProbeAction, ProbeEvent, Prober, ProberPlan, ProberTls, Target, Transport};
pub use router::{Action, Decision, Redirect, Response, Router, RouterPlan};
pub(super) use router::{RouterGuest, route_in_words};

use wasmtime::component::InstancePre;

use super::api::v0_2::exports::plimsoll::plugin::lifecycle;
use super::component::Exports;
use super::guest::Guest;
use super::instance::Instance;
use super::policy::Role;
use super::role::{Find, find};

/// Every role that the host serves.
const ROLES: [Find; Role::ALL.len()] = [
    find::<RouterGuest>,
    find::<BalancerGuest>,
    find::<PartitionerGuest>,
    find::<AffinityGuest>,
    find::<HealthGuest>,
    find::<ProberGuest>,
    find::<DiscoveryGuest>,
    find::<filter::FilterGuest>,
];

/// What a component has for the host to call; none when it is no plugin.
pub(super) fn find_all(component: &InstancePre<Guest>) -> Option<Exports> {
    let lifecycle = lifecycle::GuestIndices::new(component).ok()?;
    Some(Exports { lifecycle, roles: ROLES.iter().filter_map(|find| find(component)).collect() })
}

impl Instance {
    /// Names of what a policy wants to see of requests, in its order: of the roles that are recorded.
    pub(super) fn attribute_names(&self, policy: u32) -> Vec<String> {
        let of_balancer = || Some(needs(self, policy)?.attributes);
        let attributes = router::attributes(self, policy).or_else(of_balancer);
        attributes.iter().flat_map(|attributes| attributes.iter()).map(ToString::to_string).collect()
    }
}
