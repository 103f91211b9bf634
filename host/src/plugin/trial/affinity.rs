use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::{PolicyOnTrial, no_such_role, show};
use crate::plugin::affinity::{self, AffinityPlan, Binding, HeaderEdit};
use crate::plugin::convert::{self, Values};
use crate::plugin::fault::Fault;
use crate::plugin::instance::{Instance, Plan};
use crate::plugin::policy::{PolicyConfig, Role};
use crate::snapshot::{Endpoint, EndpointSet};

/// An affinity policy.
#[derive(Debug)]
pub struct AffinityOnTrial(PolicyOnTrial);

/// Edits as the policy gave them; none for one that cannot go over the wire.
pub type Edits = Vec<Option<HeaderEdit>>;

impl AffinityOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32, config: PolicyConfig) -> Self {
        Self(PolicyOnTrial::new(instance, policy, config))
    }

    pub fn plan(&self) -> Arc<AffinityPlan> {
        match self.0.instance.borrow().plan(self.0.policy) {
            Some(Plan::Affinity(plan)) => plan.clone(),
            _ => Arc::default(),
        }
    }

    /// Tells it the step from one set to another as a worker does.
    pub fn tell(&self, before: &EndpointSet, after: &Arc<EndpointSet>) -> Result<(), Fault> {
        self.0.call(|live, policy| {
            show(live, policy, after);
            live.tell_endpoints(Role::Affinity, policy, before, after)
        })
    }

    /// Tells it endpoints whole, at slots of any size; host functions know those of `shown`.
    pub fn replace(&self, generation: u64, endpoints: &[Endpoint], shown: &Arc<EndpointSet>) -> Result<(), Fault> {
        let endpoints: Vec<_> = endpoints.iter().map(convert::endpoint).collect();
        self.0.call(|live, policy| {
            show(live, policy, shown);
            let Some(affinity) = &live.affinity else { return Err(no_such_role()) };
            affinity.call_endpoints(&mut live.store, policy, generation, &endpoints)
        })
    }

    pub fn find(&self, values: &Values) -> Result<Binding, Fault> {
        self.0.call(|live, policy| {
            let Some(affinity) = &live.affinity else { return Err(no_such_role()) };
            affinity.call_find(&mut live.store, policy, values).map(Binding::from)
        })
    }

    pub fn prepare(&self, values: &Values) -> Result<Edits, Fault> {
        let edits = self.0.call(|live, policy| {
            let Some(affinity) = &live.affinity else { return Err(no_such_role()) };
            affinity.call_prepare(&mut live.store, policy, values)
        })?;
        Ok(edits.into_iter().map(affinity::edit).collect())
    }

    pub fn bind(&self, values: &Values, slot: u32, response: &[Vec<Vec<u8>>]) -> Result<Edits, Fault> {
        let edits = self.0.call(|live, policy| {
            let Some(affinity) = &live.affinity else { return Err(no_such_role()) };
            affinity.call_bind(&mut live.store, policy, values, slot, response)
        })?;
        Ok(edits.into_iter().map(affinity::edit).collect())
    }

    pub fn save(&self) -> Result<Vec<u8>, Fault> {
        self.0.save()
    }

    pub fn restore(&self, state: &[u8]) -> Result<bool, Fault> {
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
