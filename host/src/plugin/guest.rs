use std::sync::Arc;

use wasmtime::{ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder};

use super::deadline::{Call, Overdue, ticks};
use super::engine::Limits;
use super::grants::Grants;
use super::memory::Services;
use super::messages::Messages;
use super::shared_table::SharedTable;
use super::table::Table;
use super::wasi::{HasWasi, WasiGuest};
use crate::snapshot::{EndpointCounters, EndpointSet};

/// Bytes that one call may move from the guest to the host.
pub(super) const HOSTCALL_BYTES: usize = 8 << 20;

/// What the store of an instance holds.
pub(super) struct Guest {
    limits: StoreLimits,
    /// The guest asked for more memory than it may have.
    pub(super) memory_refused: bool,
    /// Of all its linear memories.
    pub(super) memory_bytes: usize,
    /// Of each of them.
    pub(super) memory_limit: usize,
    /// By their numbers; none where a policy was destroyed.
    policies: Vec<Option<PolicyContext>>,
    /// Number of the policy being called.
    current: usize,
    overdue: Overdue,
    wasi: Option<WasiGuest>,
    pub(super) services: Arc<Services>,
    pub(super) plugin: Arc<str>,
    pub(super) messages: Arc<Messages>,
}

/// The host's side of one policy.
pub(super) struct PolicyContext {
    pub(super) endpoints: Arc<EndpointSet>,
    pub(super) random: u64,
    pub(super) table: Arc<Table>,
    /// Made when it is asked for first.
    pub(super) shared: SharedTable,
    /// None in the control plane.
    pub(super) worker: Option<u32>,
}

impl Guest {
    pub(super) fn new(plugin: Arc<str>, limits: &Limits, services: Arc<Services>, grants: &Grants) -> Self {
        let memory_limit = limits.memory_bytes;
        let limits = StoreLimitsBuilder::new()
            .memory_size(memory_limit)
            .table_elements(100_000)
            .instances(64)
            .tables(16)
            .memories(4)
            .build();
        // What WASI prints is written, too.
        let is_heard = grants.has("log") || grants.has("wasi");
        let messages = Arc::new(Messages::of(plugin.clone(), services.clone(), is_heard));
        let wasi = grants.has("wasi").then(|| WasiGuest::new(messages.clone()));
        Self {
            limits,
            memory_refused: false,
            memory_bytes: 0,
            memory_limit,
            policies: Vec::new(),
            current: 0,
            overdue: Overdue::default(),
            wasi,
            services,
            plugin,
            messages,
        }
    }

    pub(super) fn put_policy(&mut self, policy: u32, context: PolicyContext) {
        let at = policy as usize;
        if self.policies.len() <= at {
            self.policies.resize_with(at + 1, || None);
        }
        self.policies[at] = Some(context);
    }

    pub(super) fn remove_policy(&mut self, policy: u32) {
        if let Some(place) = self.policies.get_mut(policy as usize) {
            *place = None;
        }
    }

    /// Lets host functions read the counters of these endpoints, for a policy.
    pub(super) fn show(&mut self, policy: u32, endpoints: &Arc<EndpointSet>) {
        if let Some(context) = self.policies.get_mut(policy as usize).and_then(Option::as_mut) {
            context.endpoints = endpoints.clone();
        }
    }

    /// Whether the last call was ended for its deadline.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.is_passed()
    }

    /// The policy that is being called.
    pub(super) fn current(&self) -> Option<&PolicyContext> {
        self.policies.get(self.current)?.as_ref()
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut PolicyContext> {
        self.policies.get_mut(self.current)?.as_mut()
    }

    /// The table that it shares with others.
    pub(super) fn shared_table(&self) -> Option<Arc<Table>> {
        Some(self.current()?.shared.get(&self.services))
    }

    /// What is counted about an endpoint of that policy.
    pub(super) fn counter<T: Default>(&self, slot: u32, read: impl FnOnce(&EndpointCounters) -> T) -> T {
        self.current()
            .and_then(|policy| policy.endpoints.get(slot))
            .map_or_else(T::default, |endpoint| read(&endpoint.counters))
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = self.limits.memory_growing(current, desired, maximum)?;
        self.memory_refused |= !allowed;
        if allowed {
            self.memory_bytes += desired.saturating_sub(current);
        }
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl HasWasi for Guest {
    fn wasi_mut(&mut self) -> Option<&mut WasiGuest> {
        self.wasi.as_mut()
    }
}

/// Gives a guest so much time for a call on behalf of a policy.
pub(super) fn arm(store: &mut Store<Guest>, policy: u32, call: Call) {
    // One tick more, since the current one has partly gone.
    store.set_epoch_deadline(ticks(call.deadline) + 1);
    let guest = store.data_mut();
    guest.current = policy as usize;
    guest.overdue = Overdue::new(call.deadline);
    guest.messages.begin_call();
}

/// Has the guest of a store ended when it runs past its deadline.
pub(super) fn end_overdue(store: &mut Store<Guest>) {
    store.epoch_deadline_callback(|mut context| Ok(context.data_mut().overdue.decide()));
}
