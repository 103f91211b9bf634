mod affinity;
mod health;
mod partitioner;
mod policy;
mod prober;
mod router;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub use affinity::{AffinityOnTrial, Edits};
pub use health::EvaluatorOnTrial;
pub use policy::PolicyOnTrial;
pub use router::{ActionOnTrial, DecisionOnTrial, named_clusters};

use super::fault::Fault;
use super::instance::{self, AT_CHANGE, AT_START, Instance, Live};
use super::lifecycle::Manifest;
use super::loader::Plugin;
use super::memory::Services;
use super::policy::Role;
use super::{balancer, convert};
use crate::snapshot::{Change, Endpoint, EndpointSet};

/// Asks a fresh instance of a plugin who it is.
pub fn describe(plugin: &Plugin, services: &Arc<Services>) -> Result<Manifest, String> {
    instance::describe(plugin, services)
}

/// The functions of a balancer policy that a worker has no use for one by one, with whatever comes of them: for the
/// conformance suite and the lab. Deadlines and limits are those of any call.
#[derive(Debug)]
pub struct BalancerOnTrial {
    instance: Rc<RefCell<Instance>>,
    policy: u32,
}

impl BalancerOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { instance, policy }
    }

    /// With a deadline that a busy machine does not make anybody pass: a verdict must not depend on who else runs. What
    /// loops passes it all the same.
    fn call<R>(&self, call: impl FnOnce(&mut Live, u32) -> wasmtime::Result<R>) -> Result<R, Fault> {
        let mut instance = self.instance.borrow_mut();
        instance.ends_in_time()?;
        instance.call(self.policy, AT_CHANGE, call)
    }

    /// Asks for an endpoint, as a worker does but for the deadline.
    pub fn pick(&self, request: balancer::Request<'_>) -> Result<Option<balancer::Choice>, Fault> {
        self.call(|live, policy| balancer::ask(live, policy, request))
    }

    /// Tells it the step from one set to another as a worker does.
    pub fn tell(&self, before: &EndpointSet, after: &Arc<EndpointSet>) -> Result<(), Fault> {
        self.call(|live, policy| {
            show(live, policy, after);
            live.tell_endpoints(Role::Balancer, policy, before, after)
        })
    }

    /// Tells it endpoints whole, at slots of any size; host functions know those of `shown`.
    pub fn replace(&self, generation: u64, endpoints: &[Endpoint], shown: &Arc<EndpointSet>) -> Result<(), Fault> {
        let endpoints: Vec<_> = endpoints.iter().map(convert::endpoint).collect();
        self.call(|live, policy| {
            show(live, policy, shown);
            let Some(balancer) = &live.balancer else { return Err(no_such_role()) };
            balancer.call_endpoints(&mut live.store, policy, generation, &endpoints)
        })
    }

    /// Tells it changes, and answers whether it took them.
    pub fn change(&self, base: u64, generation: u64, changes: &[Change]) -> Result<bool, Fault> {
        let changes = convert::changes(changes);
        self.call(|live, policy| {
            let Some(balancer) = &live.balancer else { return Err(no_such_role()) };
            balancer.call_changes(&mut live.store, policy, base, generation, &changes)
        })
    }

    pub fn prepares(&self) -> bool {
        self.instance.borrow().prepares(self.policy)
    }

    pub fn prepare(&self) -> Result<Vec<u32>, Fault> {
        self.call(balancer::prepared)
    }

    pub fn adopt(&self, prepared: &[u32]) -> Result<(), Fault> {
        self.call(|live, policy| {
            let Some(balancer) = &live.balancer else { return Err(no_such_role()) };
            balancer.call_adopt(&mut live.store, policy, prepared)
        })
    }

    /// What became of attempts.
    pub fn outcomes(&self, batch: &[crate::snapshot::Outcome]) -> Result<(), Fault> {
        let batch = convert::outcomes(batch);
        self.call(|live, policy| {
            let Some(balancer) = &live.balancer else { return Err(no_such_role()) };
            balancer.call_outcomes(&mut live.store, policy, &batch)
        })
    }

    pub fn save(&self) -> Result<Vec<u8>, Fault> {
        self.call(|live, policy| live.lifecycle.call_save(&mut live.store, Role::Balancer.into(), policy))
    }

    pub fn restore(&self, state: &[u8]) -> Result<bool, Fault> {
        self.call(|live, policy| live.lifecycle.call_restore(&mut live.store, Role::Balancer.into(), policy, state))
    }

    /// Destroys the policy and creates it again under its number.
    pub fn create_again(&self, config: &str) -> Result<(), String> {
        let destroyed = self.call(|live, policy| {
            let Some(balancer) = &live.balancer else { return Err(no_such_role()) };
            balancer.call_destroy(&mut live.store, policy)
        });
        destroyed.map_err(|fault| fault.to_string())?;
        let mut instance = self.instance.borrow_mut();
        let created = instance.call(self.policy, AT_START, |live, policy| Ok(balancer::create(live, policy, config)));
        created.map_err(|fault| fault.to_string())?.map(drop).map_err(|error| error.to_string())
    }

    /// What the instance has executed; none unless its engine meters.
    pub fn executed(&self) -> Option<u64> {
        self.call(|live, _| Ok(live.executed())).ok().flatten()
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.call(|live, _| Ok(live.store.data().memory_bytes as u64)).ok()
    }

    /// What the host remembers for the policy, in bytes.
    pub fn table_bytes(&self) -> Option<u64> {
        self.instance.borrow().table_bytes(self.policy)
    }
}

/// Lets host functions read the counters of these endpoints.
pub(super) fn show(live: &mut Live, policy: u32, endpoints: &Arc<EndpointSet>) {
    if let Some(context) = live.store.data_mut().policy_mut(policy) {
        context.endpoints = endpoints.clone();
    }
}

pub(super) fn no_such_role() -> wasmtime::Error {
    wasmtime::Error::msg("no such role")
}
