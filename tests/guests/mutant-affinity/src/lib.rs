//! Affinities of the conformance suite that are sound, or break one property.

use std::cell::RefCell;
use std::rc::Rc;

use mutant::suite::{self, Affinity};
use mutant::{Policies, mutants};
use plimsoll_sdk::__private::wit::affinity::{Binding, Edit, Guest, Plan};
use plimsoll_sdk::{Change, ConfigError, Duration, Endpoint, Header, host};

struct Component;

thread_local! {
    static AFFINITIES: RefCell<Policies<mutants::affinity::Native, dyn Affinity>> = const { RefCell::new(Policies::new()) };
}

/// The proxy's.
struct Table;

impl mutants::affinity::Table for Table {
    fn get(&self, name: &[u8]) -> Option<u64> {
        host::table::get(name)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn put(&self, name: &[u8], id: u64, ttl_ms: u64) {
        host::table::put(name, &id.to_be_bytes(), Duration::from_millis(ttl_ms));
    }
}

/// Whether the policy is there already, on another worker of the proxy. No session has such a name.
fn is_there() -> bool {
    let name = b"\0is there";
    let is_there = host::table::get(name).is_some();
    host::table::put(name, b"yes", Duration::from_secs(3600));
    is_there
}

fn call<T>(policy: u32, call: impl FnOnce(&mut mutant::Policy<dyn Affinity>) -> Result<T, String>) -> T {
    AFFINITIES.with_borrow_mut(|policies| policies.call(policy, call))
}

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        AFFINITIES.with_borrow_mut(|policies| {
            let affinity = policies.create(policy, &config, |instance| {
                let key = host::derive_key("mutant").expect("a proxy has a secret");
                let secret = key.iter().fold(0, |secret, byte| u64::rotate_left(secret, 8) ^ u64::from(*byte));
                Ok(instance.affinity(secret, Rc::new(Table), is_there()))
            })?;
            let suite::AffinityPlan { attributes, response_headers, rewrites_requests } = affinity.plan();
            let attributes = attributes.into_iter().map(mutant::attribute).collect();
            Ok(Plan { attributes, response_headers, rewrites_requests, tick_ms: None, more: Vec::new() })
        })
    }

    fn destroy(_: u32) {}

    fn endpoints(policy: u32, generation: u64, endpoints: Vec<Endpoint>) {
        call(policy, |p| {
            p.fleet.replace(&endpoints);
            p.living.replace_endpoints(generation, p.fleet.endpoints())
        });
    }

    fn changes(policy: u32, base: u64, generation: u64, changes: Vec<Change>) -> bool {
        call(policy, |p| {
            if base != p.living.generation() {
                return Ok(false);
            }
            p.fleet.apply(&changes);
            p.living.replace_endpoints(generation, p.fleet.endpoints()).map(|()| true)
        })
    }

    fn find(policy: u32, values: Vec<Option<Vec<u8>>>) -> Binding {
        match call(policy, |p| p.living.find(&values)) {
            suite::Binding::Bound(slot) => Binding::Bound(slot),
            suite::Binding::Renew(slot) => Binding::Renew(slot),
            suite::Binding::Lost => Binding::Lost,
            suite::Binding::Unbound => Binding::Unbound,
        }
    }

    fn prepare(policy: u32, values: Vec<Option<Vec<u8>>>) -> Vec<Edit> {
        edits(call(policy, |p| p.living.prepare(&values)))
    }

    fn bind(policy: u32, values: Vec<Option<Vec<u8>>>, slot: u32, response: Vec<Vec<Vec<u8>>>) -> Vec<Edit> {
        edits(call(policy, |p| p.living.bind(&values, slot, &response)))
    }

    fn tick(_: u32, _: u64) {}
}

fn edits(edits: Vec<suite::Edit>) -> Vec<Edit> {
    let edit = |edit| match edit {
        suite::Edit::Set(name, value) => Edit::Set(Header { name, value }),
        suite::Edit::Append(name, value) => Edit::Append(Header { name, value }),
        suite::Edit::Remove(name) => Edit::Remove(name),
        suite::Edit::ReplaceCookie(name, value) => Edit::ReplaceCookie(Header { name, value }),
        suite::Edit::RemoveCookie(name) => Edit::RemoveCookie(name),
        suite::Edit::Unusable(name) => Edit::Set(Header { name, value: b"\n".to_vec() }),
    };
    edits.into_iter().map(edit).collect()
}

mutant::component!(Component, AFFINITIES, affinity, export_affinity);
