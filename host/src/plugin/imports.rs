//! What guests may call, each on behalf of the policy that is being called.

use wasmtime::component::HasSelf;

use super::api::v0_2::plimsoll::plugin::{
    clock, counters, keys, log, metrics, node, random, shared_table, table, types,
};
use super::candidate::own_name;
use super::grants::Grants;
use super::guest::Guest;
use super::memory::splitmix;
use crate::snapshot::EndpointCounters;

/// Links those of the host's interfaces that are granted.
pub(super) fn link(linker: &mut wasmtime::component::Linker<Guest>, grants: &Grants) -> wasmtime::Result<()> {
    type Own = HasSelf<Guest>;
    fn itself(guest: &mut Guest) -> &mut Guest {
        guest
    }
    types::add_to_linker::<_, Own>(linker, itself)?;
    // Whether what it says is written is decided there: the SDK has every plugin import it, to tell of panics.
    log::add_to_linker::<_, Own>(linker, itself)?;
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
    if grants.has("shared-table") {
        shared_table::add_to_linker::<_, Own>(linker, itself)?;
    }
    if grants.has("node") {
        node::add_to_linker::<_, Own>(linker, itself)?;
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

    fn set(&mut self, name: String, value: f64) {
        self.services.registry().set_plugin_gauge(&self.plugin, &name, value);
    }

    fn observe(&mut self, name: String, value: f64) {
        self.services.registry().observe_plugin_value(&self.plugin, &name, value);
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
        let Some(policy) = self.current_mut() else { return 0 };
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

    fn reported_metric(&mut self, slot: u32, name: String) -> Option<u64> {
        self.counter(slot, |counters| counters.reported_metric(&name))
    }

    fn in_flight_many(&mut self, slots: Vec<u32>) -> Vec<u32> {
        slots.into_iter().map(|slot| self.counter(slot, EndpointCounters::in_flight)).collect()
    }
}

impl keys::Host for Guest {
    fn derive(&mut self, label: String) -> Vec<u8> {
        self.services.derive_key(own_name(&self.plugin), &label)
    }
}

impl table::Host for Guest {
    fn get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        self.current()?.table.get(self.services.now_ms(), &key)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, ttl_ms: u64) -> bool {
        self.current().is_some_and(|policy| policy.table.put(self.services.now_ms(), &key, &value, ttl_ms))
    }

    fn remove(&mut self, key: Vec<u8>) {
        if let Some(policy) = self.current() {
            policy.table.remove(&key);
        }
    }

    fn add(&mut self, key: Vec<u8>, amount: i64, ttl_ms: u64) -> i64 {
        self.current().map_or(0, |policy| policy.table.add(self.services.now_ms(), &key, amount, ttl_ms))
    }
}

impl shared_table::Host for Guest {
    fn get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        self.shared_table()?.get(self.services.now_ms(), &key)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, ttl_ms: u64) -> bool {
        self.shared_table().is_some_and(|table| table.put(self.services.now_ms(), &key, &value, ttl_ms))
    }

    fn remove(&mut self, key: Vec<u8>) {
        if let Some(table) = self.shared_table() {
            table.remove(&key);
        }
    }

    fn add(&mut self, key: Vec<u8>, amount: i64, ttl_ms: u64) -> i64 {
        self.shared_table().map_or(0, |table| table.add(self.services.now_ms(), &key, amount, ttl_ms))
    }
}

impl node::Host for Guest {
    fn this(&mut self) -> node::Node {
        let node = self.services.node();
        let worker = self.current().and_then(|policy| policy.worker);
        node::Node { id: node.id.clone(), zone: node.zone.clone(), worker, workers: node.workers }
    }
}
