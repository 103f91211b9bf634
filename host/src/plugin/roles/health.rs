use std::sync::Arc;
use std::time::Duration;

use plimsoll_model::{Evidence, HealthPlan, ProbeResult, Transition, Verdict};
use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::health as wit;
use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};
use crate::snapshot::{Endpoint, EndpointSet, Outcome};

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
        instance.plan::<HealthGuest>(self.policy).copied()
    }

    pub fn set_endpoints(&self, instance: &mut Instance, endpoints: &Arc<EndpointSet>) {
        instance.set_endpoints(self.policy, endpoints);
    }

    pub fn probed(&self, instance: &mut Instance, now_ms: u64, probe: &ProbeResult) -> Result<Vec<Transition>, Fault> {
        self.ask(instance, "probed", |health, store, policy| health.probed(store, policy, now_ms, probe))
    }

    pub fn outcomes(&self, instance: &mut Instance, now_ms: u64, batch: &[Outcome]) -> Result<Vec<Transition>, Fault> {
        self.ask(instance, "outcomes", |health, store, policy| health.outcomes(store, policy, now_ms, batch))
    }

    pub fn tick(&self, instance: &mut Instance, now_ms: u64) -> Result<Vec<Transition>, Fault> {
        self.ask(instance, "tick", |health, store, policy| health.tick(store, policy, now_ms))
    }

    fn ask(
        &self,
        instance: &mut Instance,
        function: &'static str,
        ask: impl FnOnce(&HealthGuest, &mut Store<Guest>, u32) -> wasmtime::Result<Vec<Transition>>,
    ) -> Result<Vec<Transition>, Fault> {
        let mut transitions = instance.ask(self.policy, Call::off_request_path(function), ask)?;
        let is_known = |transition: &Transition| instance.knows_slot(self.policy, transition.slot);
        if let Some(slot) = transitions.iter().find(|told| !is_known(told)).map(|told| told.slot) {
            transitions.retain(is_known);
            let reason = format_args!("{function} told of slot {slot}, which is none of its endpoints");
            instance.invalid_answer(self.policy, reason);
        }
        Ok(transitions)
    }
}

/// The functions of an evaluator of health.
pub(in crate::plugin) struct HealthGuest(wit::Guest);

impl GuestRole for HealthGuest {
    const ROLE: Role = Role::Health;
    type Plan = HealthPlan;

    from_bindings!(wit);

    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<HealthPlan, CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        Ok(HealthPlan {
            outcomes: plan.outcomes,
            tick: plan.tick_ms.map(|tick| Duration::from_millis(tick.into()).max(MIN_TICK)),
            initial_probes: plan.initial_probes.min(100),
        })
    }

    fn tell(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        _before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        self.0.call_endpoints(store, policy, after.generation(), &convert::endpoints(after))
    }
}

impl HealthGuest {
    /// Tells endpoints whole, at slots of any size.
    pub(in crate::plugin) fn replace(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        generation: u64,
        endpoints: &[Endpoint],
    ) -> wasmtime::Result<()> {
        let endpoints: Vec<_> = endpoints.iter().map(convert::endpoint).collect();
        self.0.call_endpoints(store, policy, generation, &endpoints)
    }

    pub(in crate::plugin) fn probed(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        now_ms: u64,
        probe: &ProbeResult,
    ) -> wasmtime::Result<Vec<Transition>> {
        let probe = wit::ProbeResult {
            slot: probe.slot,
            passed: probe.passed,
            took_us: u32::try_from(probe.took.as_micros()).unwrap_or(u32::MAX),
            detail: probe.detail.clone(),
        };
        self.0.call_probed(store, policy, now_ms, &probe).map(transitions)
    }

    pub(in crate::plugin) fn outcomes(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        now_ms: u64,
        batch: &[Outcome],
    ) -> wasmtime::Result<Vec<Transition>> {
        self.0.call_outcomes(store, policy, now_ms, &convert::outcomes(batch)).map(transitions)
    }

    pub(in crate::plugin) fn tick(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        now_ms: u64,
    ) -> wasmtime::Result<Vec<Transition>> {
        self.0.call_tick(store, policy, now_ms).map(transitions)
    }
}

fn transitions(told: Vec<wit::Transition>) -> Vec<Transition> {
    told.into_iter().map(Transition::from).collect()
}

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
