use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::{PolicyOnTrial, no_such_role, show};
use crate::plugin::convert;
use crate::plugin::fault::Fault;
use crate::plugin::health::{self, HealthPlan, ProbeResult, Transition};
use crate::plugin::instance::{Instance, Plan};
use crate::plugin::policy::PolicyConfig;
use crate::snapshot::{Endpoint, EndpointSet, Outcome};

/// A health policy.
#[derive(Debug)]
pub struct EvaluatorOnTrial(PolicyOnTrial);

impl EvaluatorOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32, config: PolicyConfig) -> Self {
        Self(PolicyOnTrial::new(instance, policy, config))
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
    pub fn create_again(&self) -> Result<(), String> {
        self.0.create_again()
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.0.memory_bytes()
    }
}
