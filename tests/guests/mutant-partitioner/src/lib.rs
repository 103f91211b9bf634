//! Partitioners of the conformance suite that are sound, or break one property.

use std::cell::RefCell;

use mutant::suite::{Partitioner, Values};
use mutant::{Policies, mutants};
use plimsoll_sdk::__private::wit::partitioner::{Group, Guest, Plan};
use plimsoll_sdk::{ConfigError, Endpoint, host};

struct Component;

thread_local! {
    static PARTITIONERS: RefCell<Policies<mutants::partitioner::Native, dyn Partitioner>> =
        const { RefCell::new(Policies::new()) };
}

fn call<T>(policy: u32, call: impl FnOnce(&mut mutant::Policy<dyn Partitioner>) -> Result<T, String>) -> T {
    PARTITIONERS.with_borrow_mut(|policies| policies.call(policy, call))
}

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        PARTITIONERS.with_borrow_mut(|policies| {
            let make = |instance: &mutants::partitioner::Instance| instance.partitioner(&config, host::random());
            let partitioner = policies.create(policy, &config, make)?;
            let attributes = partitioner.attributes().into_iter().map(mutant::attribute).collect();
            Ok(Plan { attributes, strict: false, more: Vec::new() })
        })
    }

    fn destroy(_: u32) {}

    fn endpoints(policy: u32, generation: u64, endpoints: Vec<Endpoint>) -> Vec<Group> {
        let groups = call(policy, |p| {
            p.fleet.replace(&endpoints);
            p.living.divide(generation, p.fleet.endpoints())
        });
        groups.into_iter().map(|group| Group { name: group.name, slots: group.slots }).collect()
    }

    fn choose(policy: u32, values: Vec<Option<Vec<u8>>>, key: Option<u64>, attempt: u32) -> Option<u32> {
        let values = Values(values);
        call(policy, |p| p.living.choose(&values, key, attempt))
    }
}

mutant::component!(Component, PARTITIONERS, partitioner, export_partitioner);
