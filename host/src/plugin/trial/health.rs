use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_model::{HealthPlan, ProbeResult, Transition};

use super::policy::{PolicyOnTrial, show};
use crate::plugin::instance::Instance;
use crate::plugin::policy::Role;
use crate::plugin::roles::HealthGuest;
use crate::snapshot::{Endpoint, EndpointSet, Outcome};

/// A health policy.
#[derive(Debug)]
pub struct EvaluatorOnTrial(PolicyOnTrial);

impl EvaluatorOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self(PolicyOnTrial::new(instance, policy, Role::Health))
    }

    pub fn plan(&self) -> Option<HealthPlan> {
        self.0.instance.borrow().plan::<HealthGuest>(self.0.policy).copied()
    }

    /// Tells it endpoints, at slots of any size; host functions know those of `shown`.
    pub fn replace(&self, generation: u64, endpoints: &[Endpoint], shown: &Arc<EndpointSet>) -> Result<(), String> {
        self.0.ask("endpoints", |health: &HealthGuest, store, policy| {
            show(store, policy, shown);
            health.replace(store, policy, generation, endpoints)
        })
    }

    pub fn probed(&self, now_ms: u64, probe: &ProbeResult) -> Result<Vec<Transition>, String> {
        self.0.ask("probed", |health: &HealthGuest, store, policy| health.probed(store, policy, now_ms, probe))
    }

    pub fn outcomes(&self, now_ms: u64, batch: &[Outcome]) -> Result<Vec<Transition>, String> {
        self.0.ask("outcomes", |health: &HealthGuest, store, policy| health.outcomes(store, policy, now_ms, batch))
    }

    pub fn tick(&self, now_ms: u64) -> Result<Vec<Transition>, String> {
        self.0.ask("tick", |health: &HealthGuest, store, policy| health.tick(store, policy, now_ms))
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
