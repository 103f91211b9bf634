//! Balancers of the conformance suite that are sound, or break one property.

use std::cell::RefCell;

use mutant::suite::{self, Balancer, Values};
use mutant::{Policies, mutants};
use plimsoll_sdk::__private::wit::balancer::{Choice, Guest, Plan, Question};
use plimsoll_sdk::{Change, ConfigError, Endpoint, Outcome, host};

struct Component;

thread_local! {
    static BALANCERS: RefCell<Policies<mutants::balancer::Native, dyn Balancer>> = const { RefCell::new(Policies::new()) };
}

fn call<T>(policy: u32, call: impl FnOnce(&mut mutant::Policy<dyn Balancer>) -> Result<T, String>) -> T {
    BALANCERS.with_borrow_mut(|policies| policies.call(policy, call))
}

fn choose(policy: u32, choose: impl FnOnce(&mut dyn Balancer) -> Result<Option<u32>, String>) -> Option<Choice> {
    call(policy, |p| {
        let slots: Vec<u32> = p.fleet.endpoints().iter().map(|endpoint| endpoint.slot).collect();
        for (slot, attempts) in slots.iter().zip(host::in_flight_many(&slots)) {
            p.living.set_in_flight(*slot, attempts);
        }
        let slot = choose(&mut *p.living)?;
        p.spent.instructions(p.living.executed().unwrap_or(0));
        if let Some(bytes @ 1..) = p.living.table_bytes() {
            // A key that was not there before.
            host::table::put(&bytes.to_le_bytes(), b"called", plimsoll_sdk::Duration::from_secs(3600));
        }
        Ok(slot.map(Choice::slot))
    })
}

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        BALANCERS.with_borrow_mut(|policies| {
            let balancer = policies.create(policy, &config, |instance| Ok(instance.balancer(host::random())))?;
            Ok(Plan {
                outcomes: balancer.wants_outcomes(),
                reasons: Vec::new(),
                prepares: balancer.prepares(),
                attributes: balancer.attributes().into_iter().map(mutant::attribute).collect(),
                keys: balancer.wants_keys(),
                tick_ms: balancer.ticks().then_some(100),
                more: Vec::new(),
            })
        })
    }

    fn destroy(_: u32) {}

    fn endpoints(policy: u32, generation: u64, endpoints: Vec<Endpoint>) {
        call(policy, |p| {
            p.fleet.replace(&endpoints);
            p.living.replace_endpoints(generation, p.fleet.endpoints())
        });
    }

    fn changes(policy: u32, base: u64, _: u64, changes: Vec<Change>) -> bool {
        call(policy, |p| {
            if base == p.living.generation() {
                p.fleet.apply(&changes);
                return p.living.set_endpoints(p.fleet.endpoints()).map(|()| true);
            }
            match changes[..] {
                [Change::Removed(slot)] => p.living.remove(base, slot),
                _ => Ok(false),
            }
        })
    }

    fn prepare(policy: u32) -> Vec<u32> {
        call(policy, |p| p.living.prepare())
    }

    fn adopt(policy: u32, prepared: Vec<u32>) {
        call(policy, |p| p.living.adopt(&prepared));
    }

    fn pick(policy: u32, key: Option<u64>) -> Option<Choice> {
        Self::pick_again(policy, key, 1, Vec::new())
    }

    fn pick_again(policy: u32, key: Option<u64>, _: u32, tried: Vec<u32>) -> Option<Choice> {
        choose(policy, |living| living.pick(key, &tried))
    }

    fn pick_for(policy: u32, question: Question) -> Option<Choice> {
        let Question { attributes, keys, tried, .. } = question;
        let values = Values(attributes);
        choose(policy, |living| living.pick_for(&values, &keys, &tried))
    }

    fn tick(policy: u32, now_ms: u64) {
        call(policy, |p| p.living.tick(now_ms));
    }

    fn outcomes(policy: u32, batch: Vec<Outcome>) {
        let batch: Vec<suite::Outcome> = batch.iter().map(mutant::outcome).collect();
        call(policy, |p| p.living.outcomes(&batch));
    }
}

mutant::component!(Component, BALANCERS, balancer, export_balancer);
