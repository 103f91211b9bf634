use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::policy::{PolicyOnTrial, show};
use crate::plugin::convert::Values;
use crate::plugin::instance::Instance;
use crate::plugin::policy::Role;
use crate::plugin::roles::{AffinityGuest, AffinityPlan, Binding, Edits};
use crate::snapshot::{Endpoint, EndpointSet};

/// An affinity policy.
#[derive(Debug)]
pub struct AffinityOnTrial(PolicyOnTrial);

impl AffinityOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self(PolicyOnTrial::new(instance, policy, Role::Affinity))
    }

    pub fn plan(&self) -> Arc<AffinityPlan> {
        self.0.instance.borrow().plan::<AffinityGuest>(self.0.policy).cloned().unwrap_or_default()
    }

    /// Tells it the step from one set to another as a worker does.
    pub fn tell(&self, before: &EndpointSet, after: &Arc<EndpointSet>) -> Result<(), String> {
        self.0.tell(before, after)
    }

    /// Tells it endpoints whole, at slots of any size; host functions know those of `shown`.
    pub fn replace(&self, generation: u64, endpoints: &[Endpoint], shown: &Arc<EndpointSet>) -> Result<(), String> {
        self.0.ask("endpoints", |affinity: &AffinityGuest, store, policy| {
            show(store, policy, shown);
            affinity.replace(store, policy, generation, endpoints)
        })
    }

    pub fn find(&self, values: &Values) -> Result<Binding, String> {
        self.0.ask("find", |affinity: &AffinityGuest, store, policy| affinity.find(store, policy, values))
    }

    pub fn prepare(&self, values: &Values) -> Result<Edits, String> {
        self.0.ask("prepare", |affinity: &AffinityGuest, store, policy| affinity.prepare(store, policy, values))
    }

    pub fn bind(&self, values: &Values, slot: u32, response: &[Vec<Vec<u8>>]) -> Result<Edits, String> {
        self.0
            .ask("bind", |affinity: &AffinityGuest, store, policy| affinity.bind(store, policy, values, slot, response))
    }

    /// Ticks that are due by now.
    pub fn tick_if_due(&self, now_ms: u64) {
        self.0.tick_if_due(now_ms);
    }

    pub fn save(&self) -> Result<Vec<u8>, String> {
        self.0.save()
    }

    pub fn restore(&self, state: &[u8]) -> Result<bool, String> {
        self.0.restore(state)
    }

    /// Destroys the policy and creates it again under its number.
    pub fn create_again(&self) -> Result<(), String> {
        self.0.create_again()
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.0.memory_bytes()
    }
}
