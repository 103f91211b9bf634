use std::cell::RefCell;
use std::rc::Rc;

use plimsoll_conformance::{self as suite, CreateFailure};

use super::endpoints::{set, text, uncounted};
use super::on_trial::{OnTrial, add_policy};
use crate::plugin::{EvaluatorOnTrial, Role};

/// An evaluator of a component.
struct UnderTest {
    evaluator: EvaluatorOnTrial,
    generation: u64,
}

/// So many policies in one instance, which is that of the control plane.
pub(super) fn several(
    trial: &OnTrial<'_>,
    config: &str,
    count: u32,
) -> Result<Vec<Box<dyn suite::Health>>, CreateFailure> {
    let (mut instance, _) = trial.start(u32::MAX)?;
    let mut policies = Vec::new();
    for number in 0..count {
        policies.push(add_policy(&mut instance, trial.policy_config(Role::Health, config, number)?)?);
    }
    let instance = Rc::new(RefCell::new(instance));
    let under_test = |policy| {
        let evaluator = EvaluatorOnTrial::new(instance.clone(), policy);
        Box::new(UnderTest { evaluator, generation: 0 }) as Box<dyn suite::Health>
    };
    Ok(policies.into_iter().map(under_test).collect())
}

impl suite::Health for UnderTest {
    fn plan(&self) -> suite::HealthPlan {
        self.evaluator.plan().unwrap_or_default()
    }

    fn set_endpoints(&mut self, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        self.replace_endpoints(self.generation + 1, endpoints)
    }

    fn replace_endpoints(&mut self, generation: u64, endpoints: &[suite::Endpoint]) -> Result<(), String> {
        self.generation = generation;
        let endpoints = uncounted(endpoints);
        self.evaluator.replace(generation, &endpoints, &set(generation, &endpoints)).map_err(text)
    }

    fn probed(&mut self, now_ms: u64, probe: &suite::ProbeResult) -> Result<Vec<suite::Transition>, String> {
        self.evaluator.probed(now_ms, probe).map_err(text)
    }

    fn outcomes(&mut self, now_ms: u64, batch: &[suite::Outcome]) -> Result<Vec<suite::Transition>, String> {
        self.evaluator.outcomes(now_ms, batch).map_err(text)
    }

    fn tick(&mut self, now_ms: u64) -> Result<Vec<suite::Transition>, String> {
        self.evaluator.tick(now_ms).map_err(text)
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        self.evaluator.save().map_err(text)
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        self.evaluator.restore(state).map_err(text)
    }

    fn create_again(&mut self) -> Result<(), String> {
        self.generation = 0;
        self.evaluator.create_again()
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.evaluator.memory_bytes()
    }
}
