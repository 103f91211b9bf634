use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;

use crate::plugin::deadline::{Call, thread_cpu_time};
use crate::plugin::guest::Guest;
use crate::plugin::instance::Instance;
use crate::plugin::live::Live;
use crate::plugin::policy::Role;
use crate::plugin::role::GuestRole;
use crate::snapshot::EndpointSet;

/// A policy of any role. Deadlines are those of a change, so that a busy machine makes nobody pass them: a verdict must not
/// depend on who else runs. What loops passes them all the same.
#[derive(Debug)]
pub struct PolicyOnTrial {
    pub(super) instance: Rc<RefCell<Instance>>,
    pub(super) policy: u32,
    role: Role,
    took: Cell<Duration>,
    /// What a tick came to that nobody has heard of yet.
    failed_tick: RefCell<Option<String>>,
}

impl PolicyOnTrial {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32, role: Role) -> Self {
        Self { instance, policy, role, took: Cell::default(), failed_tick: RefCell::default() }
    }

    /// Calls a function of its role.
    pub(super) fn ask<R: GuestRole, T>(
        &self,
        function: &'static str,
        ask: impl FnOnce(&R, &mut Store<Guest>, u32) -> wasmtime::Result<T>,
    ) -> Result<T, String> {
        self.call(function, |live, policy| {
            let (role, store) = live.of::<R>()?;
            ask(role, store, policy)
        })
    }

    pub(super) fn call<T>(
        &self,
        function: &'static str,
        call: impl FnOnce(&mut Live, u32) -> wasmtime::Result<T>,
    ) -> Result<T, String> {
        if let Some(why) = self.failed_tick.take() {
            return Err(why);
        }
        let began = thread_cpu_time();
        let mut instance = self.instance.borrow_mut();
        instance.ends_in_time().map_err(|fault| fault.to_string())?;
        let answer = instance.call(self.policy, Call::at_change(function), call);
        let answer = answer.map_err(|fault| instance.told(fault));
        self.took.set(thread_cpu_time().saturating_sub(began));
        answer
    }

    /// Tells it the step from one set to another as a worker does.
    pub(super) fn tell(&self, before: &EndpointSet, after: &Arc<EndpointSet>) -> Result<(), String> {
        self.call("endpoints", |live, policy| {
            live.guest_mut().show(policy, after);
            live.tell(self.role, policy, before, after)
        })
    }

    /// Whether it wants to hear that time passes.
    pub fn ticks(&self) -> bool {
        self.instance.borrow().ticks(self.policy)
    }

    /// Tells it that time has passed.
    pub fn tick(&self, now_ms: u64) -> Result<(), String> {
        self.call("tick", |live, policy| live.tick(self.role, policy, now_ms))
    }

    /// Has the policies of its instance hear that time has passed, of which a tick is due by now, as a worker does. The next
    /// call tells a failure.
    pub fn tick_if_due(&self, now_ms: u64) {
        let mut instance = self.instance.borrow_mut();
        for policy in instance.due(now_ms) {
            if let Err(fault) = instance.tick_policy(policy, Call::at_change("tick")) {
                self.failed_tick.replace(Some(format!("at a tick: {}", instance.told(fault))));
            }
        }
    }

    /// Processor time of the last call.
    pub fn took(&self) -> Duration {
        self.took.get()
    }

    pub fn save(&self) -> Result<Vec<u8>, String> {
        self.call("save", |live, policy| live.save(self.role, policy))
    }

    pub fn restore(&self, state: &[u8]) -> Result<bool, String> {
        self.call("restore", |live, policy| live.restore(self.role, policy, state))
    }

    /// Destroys the policy and creates it again under its number.
    pub fn create_again(&self) -> Result<(), String> {
        self.instance.borrow_mut().create_again(self.policy)
    }

    /// Size of all linear memories of the instance.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.call("memory", |live, _| Ok(live.guest().memory_bytes as u64)).ok()
    }
}

/// Lets host functions read the counters of these endpoints.
pub(super) fn show(store: &mut Store<Guest>, policy: u32, endpoints: &Arc<EndpointSet>) {
    store.data_mut().show(policy, endpoints);
}
