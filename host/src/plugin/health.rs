use std::sync::Arc;
use std::time::Duration;

use super::api::v0_1::exports::plimsoll::plugin::health as wit;
use super::convert;
use super::fault::Fault;
use super::instance::{CreateError, Instance, Live, OFF_REQUEST_PATH, Plan};
use crate::snapshot::{EndpointSet, Outcome};

/// What a health policy said when it was created.
#[derive(Clone, Copy, Debug)]
pub struct HealthPlan {
    /// Whether it wants to hear what became of attempts.
    pub outcomes: bool,
    pub tick: Option<Duration>,
    /// Good probes that an endpoint needs before its first request.
    pub initial_probes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Healthy,
    Unhealthy,
}

/// What led to a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    Probe,
    Traffic,
}

/// A changed opinion about an endpoint, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub slot: u32,
    pub verdict: Verdict,
    pub evidence: Evidence,
    pub reason: String,
}

/// How a probe ended.
#[derive(Clone, Debug)]
pub struct ProbeResult {
    pub slot: u32,
    pub passed: bool,
    pub took: Duration,
    pub detail: String,
}

/// A health policy in the control plane. A fault leaves all states as they are.
#[derive(Debug)]
pub struct Evaluator {
    policy: u32,
}

/// Fastest tick that a plugin may ask for.
const MIN_TICK: Duration = Duration::from_millis(100);

impl Evaluator {
    pub fn new(policy: u32) -> Self {
        Self { policy }
    }

    pub fn policy(&self) -> u32 {
        self.policy
    }

    pub fn plan(&self, instance: &Instance) -> Option<HealthPlan> {
        match instance.plan(self.policy) {
            Some(Plan::Health(plan)) => Some(*plan),
            _ => None,
        }
    }

    pub fn set_endpoints(&self, instance: &mut Instance, endpoints: &Arc<EndpointSet>) {
        instance.set_endpoints(self.policy, endpoints);
    }

    pub fn probed(&self, instance: &mut Instance, now_ms: u64, probe: &ProbeResult) -> Result<Vec<Transition>, Fault> {
        let result = probe_result(probe);
        self.ask(instance, |live, health, policy| health.call_probed(&mut live.0, policy, now_ms, &result))
    }

    pub fn outcomes(&self, instance: &mut Instance, now_ms: u64, batch: &[Outcome]) -> Result<Vec<Transition>, Fault> {
        let batch = convert::outcomes(batch);
        self.ask(instance, |live, health, policy| health.call_outcomes(&mut live.0, policy, now_ms, &batch))
    }

    pub fn tick(&self, instance: &mut Instance, now_ms: u64) -> Result<Vec<Transition>, Fault> {
        self.ask(instance, |live, health, policy| health.call_tick(&mut live.0, policy, now_ms))
    }

    fn ask(
        &self,
        instance: &mut Instance,
        call: impl FnOnce(&mut StoreOf<'_>, &wit::Guest, u32) -> wasmtime::Result<Vec<wit::Transition>>,
    ) -> Result<Vec<Transition>, Fault> {
        let transitions = instance.call(self.policy, OFF_REQUEST_PATH, |live, policy| {
            let Some(health) = &live.health else { return Err(wasmtime::Error::msg("no such role")) };
            call(&mut StoreOf(&mut live.store), health, policy)
        })?;
        let (known, unknown): (Vec<_>, Vec<_>) =
            transitions.into_iter().partition(|transition| instance.knows_slot(self.policy, transition.slot));
        if !unknown.is_empty() {
            instance.invalid_answer(self.policy);
        }
        Ok(known.into_iter().map(Transition::from).collect())
    }
}

pub(super) fn probe_result(probe: &ProbeResult) -> wit::ProbeResult {
    wit::ProbeResult {
        slot: probe.slot,
        passed: probe.passed,
        took_us: u32::try_from(probe.took.as_micros()).unwrap_or(u32::MAX),
        detail: probe.detail.clone(),
    }
}

/// The store apart from the exports of the same guest, so that both can be borrowed.
struct StoreOf<'a>(&'a mut wasmtime::Store<super::imports::Guest>);

impl From<wit::Transition> for Transition {
    fn from(transition: wit::Transition) -> Self {
        Self {
            slot: transition.slot,
            verdict: match transition.verdict {
                wit::Verdict::Healthy => Verdict::Healthy,
                wit::Verdict::Unhealthy => Verdict::Unhealthy,
            },
            evidence: match transition.evidence {
                wit::Evidence::Probe => Evidence::Probe,
                wit::Evidence::Traffic => Evidence::Traffic,
            },
            reason: convert::text(&transition.reason),
        }
    }
}

pub(super) fn create(live: &mut Live, policy: u32, config: &str) -> Result<Plan, CreateError> {
    let Some(health) = &live.health else { return Err(CreateError::MissingRole) };
    let plan = health
        .call_create(&mut live.store, policy, config)
        .map_err(|error| CreateError::trapped(&error))?
        .map_err(|errors| CreateError::Refused(convert::mistakes(errors)))?;
    Ok(Plan::Health(HealthPlan {
        outcomes: plan.outcomes,
        tick: plan.tick_ms.map(|tick| Duration::from_millis(tick.into()).max(MIN_TICK)),
        initial_probes: plan.initial_probes.min(100),
    }))
}
