//! The functions of policies that the proxy has no use for one by one, with whatever comes of them: for the conformance
//! suite. Deadlines and limits are those of any call.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::affinity::{self, AffinityPlan, Binding, HeaderEdit};
use super::convert::{self, Values};
use super::fault::Fault;
use super::health::{self, HealthPlan, ProbeResult, Transition};
use super::instance::{AT_CHANGE, AT_START, CreateError, Instance, Live, Plan};
use super::policy::Role;
use super::trial::{no_such_role, show};
use crate::snapshot::{Endpoint, EndpointSet, Outcome};

/// What policies of all roles have.
#[derive(Debug)]
struct OnTrial {
    instance: Rc<RefCell<Instance>>,
    policy: u32,
    role: Role,
}

impl OnTrial {
    fn call<R>(&self, call: impl FnOnce(&mut Live, u32) -> wasmtime::Result<R>) -> Result<R, Fault> {
        // A busy machine makes nobody pass it; what loops passes it all the same.
        self.within(AT_CHANGE, call)
    }

    fn within<R>(
        &self,
        deadline: Duration,
        call: impl FnOnce(&mut Live, u32) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.instance.borrow_mut().call(self.policy, deadline, call)
    }

    /// Tells it the step from one set to another as the proxy does.
    fn tell(&self, before: &EndpointSet, after: &Arc<EndpointSet>) -> Result<(), Fault> {
        self.call(|live, policy| {
            show(live, policy, after);
            live.tell_endpoints(self.role, policy, before, after)
        })
    }

    fn save(&self) -> Result<Vec<u8>, Fault> {
        self.call(|live, policy| live.lifecycle.call_save(&mut live.store, self.role.into(), policy))
    }

    fn restore(&self, state: &[u8]) -> Result<bool, Fault> {
        self.call(|live, policy| live.lifecycle.call_restore(&mut live.store, self.role.into(), policy, state))
    }

    fn create_again(
        &self,
        destroy: impl FnOnce(&mut Live, u32) -> wasmtime::Result<()>,
        create: impl FnOnce(&mut Live, u32) -> Result<Plan, CreateError>,
    ) -> Result<(), String> {
        self.call(destroy).map_err(|fault| fault.to_string())?;
        let created = self.within(AT_START, |live, policy| Ok(create(live, policy)));
        created.map_err(|fault| fault.to_string())?.map(drop).map_err(|error| error.to_string())
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.call(|live, _| Ok(live.store.data().memory_bytes as u64)).ok()
    }
}

/// An affinity policy.
#[derive(Debug)]
pub struct AffinityOnTrial(OnTrial);

/// Edits as the policy gave them; none for one that cannot go over the wire.
pub type Edits = Vec<Option<HeaderEdit>>;

impl AffinityOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self(OnTrial { instance, policy, role: Role::Affinity })
    }

    pub fn plan(&self) -> Arc<AffinityPlan> {
        match self.0.instance.borrow().plan(self.0.policy) {
            Some(Plan::Affinity(plan)) => plan.clone(),
            _ => Arc::default(),
        }
    }

    /// Tells it the step from one set to another as a worker does.
    pub fn tell(&self, before: &EndpointSet, after: &Arc<EndpointSet>) -> Result<(), Fault> {
        self.0.tell(before, after)
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
    pub fn create_again(&self, config: &str) -> Result<(), String> {
        let destroy = |live: &mut Live, policy| match &live.affinity {
            Some(affinity) => affinity.call_destroy(&mut live.store, policy),
            None => Err(no_such_role()),
        };
        self.0.create_again(destroy, |live, policy| affinity::create(live, policy, config))
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.0.memory_bytes()
    }
}

/// A health policy.
#[derive(Debug)]
pub struct EvaluatorOnTrial(OnTrial);

impl EvaluatorOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self(OnTrial { instance, policy, role: Role::Health })
    }

    pub fn plan(&self) -> Option<HealthPlan> {
        match self.0.instance.borrow().plan(self.0.policy) {
            Some(Plan::Health(plan)) => Some(*plan),
            _ => None,
        }
    }

    /// Tells it endpoints, at slots of any size; host functions know those of `shown`.
    pub fn replace(&self, generation: u64, endpoints: &[Endpoint], shown: &Arc<EndpointSet>) -> Result<(), Fault> {
        let endpoints: Vec<_> = endpoints.iter().map(convert::endpoint).collect();
        self.0.call(|live, policy| {
            show(live, policy, shown);
            let Some(health) = &live.health else { return Err(no_such_role()) };
            health.call_endpoints(&mut live.store, policy, generation, &endpoints)
        })
    }

    pub fn probed(&self, now_ms: u64, probe: &ProbeResult) -> Result<Vec<Transition>, Fault> {
        let probe = health::probe_result(probe);
        let transitions = self.0.call(|live, policy| {
            let Some(health) = &live.health else { return Err(no_such_role()) };
            health.call_probed(&mut live.store, policy, now_ms, &probe)
        })?;
        Ok(transitions.into_iter().map(Transition::from).collect())
    }

    pub fn outcomes(&self, now_ms: u64, batch: &[Outcome]) -> Result<Vec<Transition>, Fault> {
        let batch = convert::outcomes(batch);
        let transitions = self.0.call(|live, policy| {
            let Some(health) = &live.health else { return Err(no_such_role()) };
            health.call_outcomes(&mut live.store, policy, now_ms, &batch)
        })?;
        Ok(transitions.into_iter().map(Transition::from).collect())
    }

    pub fn tick(&self, now_ms: u64) -> Result<Vec<Transition>, Fault> {
        let transitions = self.0.call(|live, policy| {
            let Some(health) = &live.health else { return Err(no_such_role()) };
            health.call_tick(&mut live.store, policy, now_ms)
        })?;
        Ok(transitions.into_iter().map(Transition::from).collect())
    }

    pub fn save(&self) -> Result<Vec<u8>, Fault> {
        self.0.save()
    }

    pub fn restore(&self, state: &[u8]) -> Result<bool, Fault> {
        self.0.restore(state)
    }

    /// Destroys the policy and creates it again under its number.
    pub fn create_again(&self, config: &str) -> Result<(), String> {
        let destroy = |live: &mut Live, policy| match &live.health {
            Some(health) => health.call_destroy(&mut live.store, policy),
            None => Err(no_such_role()),
        };
        self.0.create_again(destroy, |live, policy| health::create(live, policy, config))
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.0.memory_bytes()
    }
}
