use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::plugin::fault::Fault;
use crate::plugin::instance::{AT_CHANGE, AT_START, CreateError, Instance, Live, thread_cpu_time};
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::{affinity, health, partitioner, prober, router};

/// A policy of any role but a balancer's, with every function of its role and whatever comes of it: for the conformance
/// suite. Deadlines are those of a change, so that a busy machine makes nobody pass them.
#[derive(Debug)]
pub struct PolicyOnTrial {
    pub(super) instance: Rc<RefCell<Instance>>,
    pub(super) policy: u32,
    config: PolicyConfig,
    took: Cell<Duration>,
}

impl PolicyOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32, config: PolicyConfig) -> Self {
        Self { instance, policy, config, took: Cell::default() }
    }

    pub(super) fn call<R>(&self, call: impl FnOnce(&mut Live, u32) -> wasmtime::Result<R>) -> Result<R, Fault> {
        let began = thread_cpu_time();
        let mut instance = self.instance.borrow_mut();
        instance.ends_in_time()?;
        let answer = instance.call(self.policy, AT_CHANGE, call);
        self.took.set(thread_cpu_time().saturating_sub(began));
        answer
    }

    /// Processor time of the last call.
    pub fn took(&self) -> Duration {
        self.took.get()
    }

    pub fn save(&self) -> Result<Vec<u8>, Fault> {
        let role = self.config.role.into();
        self.call(|live, policy| live.lifecycle.call_save(&mut live.store, role, policy))
    }

    pub fn restore(&self, state: &[u8]) -> Result<bool, Fault> {
        let role = self.config.role.into();
        self.call(|live, policy| live.lifecycle.call_restore(&mut live.store, role, policy, state))
    }

    /// Destroys the policy and creates it again under its number.
    pub fn create_again(&self) -> Result<(), String> {
        let role = self.config.role;
        self.call(|live, policy| live.destroy(role, policy)).map_err(|fault| fault.to_string())?;
        let mut instance = self.instance.borrow_mut();
        let created = instance.call(self.policy, AT_START, |live, policy| {
            Ok(match role {
                Role::Router => router::create(live, policy, &self.config),
                Role::Prober => prober::create(live, policy, &self.config.config),
                Role::Partitioner => partitioner::create(live, policy, &self.config.config),
                Role::Affinity => affinity::create(live, policy, &self.config.config),
                Role::Health => health::create(live, policy, &self.config.config),
                _ => Err(CreateError::MissingRole),
            })
        });
        let plan = created.map_err(|fault| fault.to_string())?.map_err(|error| error.to_string())?;
        // It may ask for something else than before.
        if let Some(known) = instance.plan_mut(self.policy) {
            *known = plan;
        }
        Ok(())
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.call(|live, _| Ok(live.store.data().memory_bytes as u64)).ok()
    }
}
