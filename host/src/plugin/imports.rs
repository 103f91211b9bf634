//! What guests may call, each on behalf of the policy that is being called.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::HasSelf;
use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};

use super::api::v0_1::plimsoll::plugin::{clock, counters, keys, log, metrics, random, table, types};
use super::engine::Limits;
use super::loader::Grants;
use super::memory::{Services, splitmix};
use super::messages::Messages;
use super::table::Table;
use super::wasi::WasiGuest;
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
    /// By their numbers; none where a policy was destroyed.
    policies: Vec<Option<PolicyContext>>,
    /// Number of the policy being called.
    pub(super) current: usize,
    pub(super) overdue: Overdue,
    pub(super) wasi: Option<WasiGuest>,
    services: Arc<Services>,
    plugin: Arc<str>,
    messages: Arc<Messages>,
}

/// The host's side of one policy.
pub(super) struct PolicyContext {
    pub(super) endpoints: Arc<EndpointSet>,
    pub(super) random: u64,
    pub(super) table: Arc<Table>,
}

/// A call past its deadline is measured by the time that the thread really ran, so that a machine short of processors
/// does not look like a looping plugin.
#[derive(Default)]
pub(super) struct Overdue {
    pub(super) allowed: Duration,
    /// Processor time of the thread when the deadline passed on the clock.
    pub(super) since: Option<Duration>,
}

impl Guest {
    pub(super) fn new(plugin: Arc<str>, limits: &Limits, services: Arc<Services>, wasi: bool) -> Self {
        let limits = StoreLimitsBuilder::new()
            .memory_size(limits.memory_bytes)
            .table_elements(100_000)
            .instances(64)
            .tables(16)
            .memories(4)
            .build();
        let messages = Arc::new(Messages::of(plugin.clone(), services.clone()));
        let wasi = wasi.then(|| WasiGuest::new(messages.clone()));
        Self {
            limits,
            memory_refused: false,
            memory_bytes: 0,
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

    pub(super) fn policy_mut(&mut self, policy: u32) -> Option<&mut PolicyContext> {
        self.policies.get_mut(policy as usize)?.as_mut()
    }

    fn policy(&self) -> Option<&PolicyContext> {
        self.policies.get(self.current)?.as_ref()
    }

    fn counter<T: Default>(&self, slot: u32, read: impl FnOnce(&EndpointCounters) -> T) -> T {
        self.policy()
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

/// Links those of the host's interfaces that are granted.
pub(super) fn link(linker: &mut wasmtime::component::Linker<Guest>, grants: &Grants) -> wasmtime::Result<()> {
    type Own = HasSelf<Guest>;
    fn itself(guest: &mut Guest) -> &mut Guest {
        guest
    }
    types::add_to_linker::<_, Own>(linker, itself)?;
    if grants.has("log") {
        log::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("metrics") {
        metrics::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("clock") {
        clock::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("random") {
        random::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("counters") {
        counters::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("keys") {
        keys::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("table") {
        table::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("wasi") {
        super::wasi::link(linker)?;
    }
    Ok(())
}

impl types::Host for Guest {}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, message: String) {
        self.messages.write(level, &message);
    }
}

impl metrics::Host for Guest {
    fn add(&mut self, name: String, amount: u64) {
        self.services.registry().add_plugin_counter(&self.plugin, &name, amount);
    }
}

impl clock::Host for Guest {
    fn now_ms(&mut self) -> u64 {
        self.services.now_ms()
    }

    fn unix_ms(&mut self) -> u64 {
        self.services.unix_ms()
    }
}

impl random::Host for Guest {
    fn next(&mut self) -> u64 {
        let Some(Some(policy)) = self.policies.get_mut(self.current) else { return 0 };
        let value = splitmix(policy.random);
        policy.random = policy.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        value
    }
}

impl counters::Host for Guest {
    fn in_flight(&mut self, slot: u32) -> u32 {
        self.counter(slot, EndpointCounters::in_flight)
    }

    fn in_flight_pair(&mut self, first: u32, second: u32) -> u64 {
        let first = self.counter(first, EndpointCounters::in_flight);
        let second = self.counter(second, EndpointCounters::in_flight);
        (u64::from(second) << 32) | u64::from(first)
    }

    fn first_byte_us(&mut self, slot: u32) -> u32 {
        self.counter(slot, EndpointCounters::first_byte_us)
    }

    fn requests(&mut self, slot: u32) -> u64 {
        self.counter(slot, EndpointCounters::requests)
    }

    fn failures(&mut self, slot: u32) -> u64 {
        self.counter(slot, EndpointCounters::failures)
    }

    fn reported_load(&mut self, slot: u32) -> Option<counters::LoadReport> {
        let (report, at_ms) = self.counter(slot, EndpointCounters::reported_load)?;
        Some(counters::LoadReport {
            cpu: report.cpu,
            memory: report.memory,
            utilization: report.utilization,
            requests_per_second: report.requests_per_second,
            errors_per_second: report.errors_per_second,
            age_ms: u32::try_from(self.services.reports_now_ms().saturating_sub(at_ms)).unwrap_or(u32::MAX),
        })
    }

    fn in_flight_many(&mut self, slots: Vec<u32>) -> Vec<u32> {
        slots.into_iter().map(|slot| self.counter(slot, EndpointCounters::in_flight)).collect()
    }
}

impl keys::Host for Guest {
    fn derive(&mut self, label: String) -> Vec<u8> {
        self.services.derive_key(&self.plugin, &label)
    }
}

impl table::Host for Guest {
    fn get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        self.policy()?.table.get(self.services.now_ms(), &key)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, ttl_ms: u64) -> bool {
        self.policy().is_some_and(|policy| policy.table.put(self.services.now_ms(), &key, &value, ttl_ms))
    }

    fn remove(&mut self, key: Vec<u8>) {
        if let Some(policy) = self.policy() {
            policy.table.remove(&key);
        }
    }

    fn add(&mut self, key: Vec<u8>, amount: i64, ttl_ms: u64) -> i64 {
        self.policy().map_or(0, |policy| policy.table.add(self.services.now_ms(), &key, amount, ttl_ms))
    }
}
