//! Balancers of the conformance suite that are sound, or break one property.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use mutant::{Fleet, Spent};
use plimsoll_conformance::{self as suite, CreateFailure, Subject};
use plimsoll_mutants::balancer::{Instance, Native};
use plimsoll_sdk::__private::wit::balancer::{Choice, Guest, Plan};
use plimsoll_sdk::__private::wit::{balancer, lifecycle};
use plimsoll_sdk::{Change, ConfigError, Endpoint, Outcome, OutcomeClass, Role, host};

struct Component;

struct Policy {
    balancer: Box<dyn suite::Balancer>,
    fleet: Fleet,
    spent: Spent,
}

impl Policy {
    fn new(balancer: Box<dyn suite::Balancer>) -> Self {
        Self { balancer, fleet: Fleet::default(), spent: Spent::default() }
    }
}

#[derive(Default)]
struct Policies {
    instance: Option<Instance>,
    all: HashMap<u32, Policy>,
}

thread_local! {
    static POLICIES: RefCell<Policies> = RefCell::default();
}

/// Calls a policy. Whatever it calls a failure is a trap.
fn call<R>(policy: u32, call: impl FnOnce(&mut Policy) -> Result<R, String>) -> R {
    POLICIES.with_borrow_mut(|policies| {
        let policy = policies.all.get_mut(&policy).expect("a policy of this number");
        policy.balancer.set_now_ms(host::now_ms());
        let answer = call(policy).expect("the specimen is alive");
        policy.spent.memory(policy.balancer.memory_bytes());
        answer
    })
}

fn native() -> Native {
    plimsoll_mutants::named(mutant::name()).expect("the name of a specimen")
}

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        match native().create("balancer", &config) {
            Ok(()) => {}
            Err(CreateFailure::Refused(message)) => return Err(vec![ConfigError { path: String::new(), message }]),
            Err(CreateFailure::Failed(why)) => panic!("{why}"),
        }
        POLICIES.with_borrow_mut(|policies| {
            let instance = policies.instance.get_or_insert_with(|| native().instance());
            let policy = match policies.all.entry(policy) {
                Entry::Vacant(vacant) => vacant.insert(Policy::new(instance.balancer(host::random()))),
                Entry::Occupied(mut destroyed) => {
                    destroyed.get_mut().balancer.create_again().expect("the specimen is alive");
                    destroyed.into_mut()
                }
            };
            let balancer = &policy.balancer;
            Ok(Plan { outcomes: balancer.wants_outcomes(), reasons: Vec::new(), prepares: balancer.prepares() })
        })
    }

    /// It is for the specimen to forget, when it is created again.
    fn destroy(_: u32) {}

    fn endpoints(policy: u32, generation: u64, endpoints: Vec<Endpoint>) {
        call(policy, |p| {
            p.fleet.replace(&endpoints);
            p.balancer.replace_endpoints(generation, p.fleet.endpoints())
        });
    }

    fn changes(policy: u32, base: u64, _: u64, changes: Vec<Change>) -> bool {
        call(policy, |p| {
            if base == p.balancer.generation() {
                p.fleet.apply(&changes);
                return p.balancer.set_endpoints(p.fleet.endpoints()).map(|()| true);
            }
            match changes[..] {
                [Change::Removed(slot)] => p.balancer.remove(base, slot),
                _ => Ok(false),
            }
        })
    }

    fn prepare(policy: u32) -> Vec<u32> {
        call(policy, |p| p.balancer.prepare())
    }

    fn adopt(policy: u32, prepared: Vec<u32>) {
        call(policy, |p| p.balancer.adopt(&prepared));
    }

    fn pick(policy: u32, key: Option<u64>) -> Option<Choice> {
        Self::pick_again(policy, key, 1, Vec::new())
    }

    fn pick_again(policy: u32, key: Option<u64>, _: u32, tried: Vec<u32>) -> Option<Choice> {
        call(policy, |p| {
            let slots: Vec<u32> = p.fleet.endpoints().iter().map(|endpoint| endpoint.slot).collect();
            for (slot, attempts) in slots.iter().zip(host::in_flight_many(&slots)) {
                p.balancer.set_in_flight(*slot, attempts);
            }
            let slot = p.balancer.pick(key, &tried)?;
            p.spent.instructions(p.balancer.executed().unwrap_or(0));
            Ok(slot.map(Choice::slot))
        })
    }

    fn outcomes(policy: u32, batch: Vec<Outcome>) {
        let batch: Vec<suite::Outcome> = batch.iter().map(outcome).collect();
        call(policy, |p| p.balancer.outcomes(&batch));
    }
}

fn outcome(outcome: &Outcome) -> suite::Outcome {
    let class = match outcome.class {
        OutcomeClass::Success => suite::OutcomeClass::Success,
        OutcomeClass::ServerError => suite::OutcomeClass::ServerError,
        OutcomeClass::ConnectFailure => suite::OutcomeClass::ConnectFailure,
        OutcomeClass::Timeout => suite::OutcomeClass::Timeout,
        OutcomeClass::Reset => suite::OutcomeClass::Reset,
        OutcomeClass::ClientAbort => suite::OutcomeClass::ClientAbort,
    };
    let Outcome { slot, status, first_byte_us, total_us, .. } = *outcome;
    suite::Outcome { slot, class, status, first_byte_us, total_us }
}

impl lifecycle::Guest for Component {
    fn describe() -> lifecycle::Manifest {
        let about = native().describe().expect("it describes itself");
        let schemas = about.config_schemas.into_iter().map(|(_, schema)| (Role::Balancer, schema)).collect();
        plimsoll_sdk::__private::manifest("mutant-balancer", &about.version, &about.summary, schemas)
    }

    fn save(_: Role, policy: u32) -> Vec<u8> {
        call(policy, |p| p.balancer.save())
    }

    fn restore(_: Role, policy: u32, state: Vec<u8>) -> bool {
        call(policy, |p| p.balancer.restore(&state))
    }
}

#[allow(unsafe_code, reason = "the exported functions of the component")]
const _: () = {
    lifecycle::export_lifecycle!(Component with_types_in lifecycle);
    balancer::export_balancer!(Component with_types_in balancer);
};
