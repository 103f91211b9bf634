//! Evaluators of health of the conformance suite that are sound, or break one property.

use std::cell::RefCell;
use std::time::Duration;

use mutant::suite::{self, Health};
use mutant::{Policies, mutants};
use plimsoll_sdk::__private::wit::health::{Evidence, Guest, Plan, ProbeResult, Transition, Verdict};
use plimsoll_sdk::{ConfigError, Endpoint, Outcome};

struct Component;

thread_local! {
    static EVALUATORS: RefCell<Policies<mutants::health::Native, dyn Health>> = const { RefCell::new(Policies::new()) };
}

fn call<T>(policy: u32, call: impl FnOnce(&mut mutant::Policy<dyn Health>) -> Result<T, String>) -> T {
    EVALUATORS.with_borrow_mut(|policies| policies.call(policy, call))
}

impl Guest for Component {
    fn create(policy: u32, config: String) -> Result<Plan, Vec<ConfigError>> {
        EVALUATORS.with_borrow_mut(|policies| {
            let health = policies.create(policy, &config, |instance| Ok(instance.health()))?;
            let suite::HealthPlan { outcomes, tick, initial_probes } = health.plan();
            let tick_ms = tick.map(|tick| tick.as_millis() as u32);
            Ok(Plan { outcomes, tick_ms, initial_probes, more: Vec::new() })
        })
    }

    fn destroy(_: u32) {}

    fn endpoints(policy: u32, generation: u64, endpoints: Vec<Endpoint>) {
        call(policy, |p| {
            p.fleet.replace(&endpoints);
            p.living.replace_endpoints(generation, p.fleet.endpoints())
        });
    }

    fn probed(policy: u32, now_ms: u64, probe: ProbeResult) -> Vec<Transition> {
        let ProbeResult { slot, passed, took_us, detail } = probe;
        let took = Duration::from_micros(took_us.into());
        let probe = suite::ProbeResult { slot, passed, took, detail };
        transitions(call(policy, |p| p.living.probed(now_ms, &probe)))
    }

    fn outcomes(policy: u32, now_ms: u64, batch: Vec<Outcome>) -> Vec<Transition> {
        let batch: Vec<suite::Outcome> = batch.iter().map(mutant::outcome).collect();
        transitions(call(policy, |p| p.living.outcomes(now_ms, &batch)))
    }

    fn tick(policy: u32, now_ms: u64) -> Vec<Transition> {
        transitions(call(policy, |p| p.living.tick(now_ms)))
    }
}

fn transitions(transitions: Vec<suite::Transition>) -> Vec<Transition> {
    let transition = |transition: suite::Transition| Transition {
        slot: transition.slot,
        verdict: if transition.is_healthy() { Verdict::Healthy } else { Verdict::Unhealthy },
        evidence: match transition.evidence {
            suite::Evidence::Probe => Evidence::Probe,
            suite::Evidence::Traffic => Evidence::Traffic,
        },
        reason: transition.reason,
    };
    transitions.into_iter().map(transition).collect()
}

mutant::component!(Component, EVALUATORS, health, export_health);
