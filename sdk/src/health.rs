use serde::de::DeserializeOwned;

pub use crate::wit::health::{Evidence, ProbeResult, Transition, Verdict};

use crate::policies::Policies;
use crate::wit::health::Plan;
use crate::{ConfigError, ConfigErrors, Duration, Endpoint, Endpoints, JsonSchema, Outcome, config};

/// Decides which endpoints are healthy, from probes and from live traffic. Times are monotonic milliseconds.
pub trait Health: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    fn plan(&self) -> HealthPlan {
        HealthPlan::default()
    }

    /// The endpoints are now these; availability is the host's, after all evaluation.
    fn endpoints(&mut self, _endpoints: &Endpoints) {}

    /// A probe ended.
    fn probed(&mut self, now_ms: u64, probe: &ProbeResult, endpoints: &Endpoints) -> Vec<Transition>;

    /// Attempts ended.
    fn outcomes(&mut self, _now_ms: u64, _outcomes: &[Outcome], _endpoints: &Endpoints) -> Vec<Transition> {
        Vec::new()
    }

    /// Time passed.
    fn tick(&mut self, _now_ms: u64, _endpoints: &Endpoints) -> Vec<Transition> {
        Vec::new()
    }

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

/// What a health policy wants to be called for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthPlan {
    /// Whether [`Health::outcomes`] is to be called.
    pub outcomes: bool,
    /// Interval of [`Health::tick`], 100 ms at the least; none for no ticks.
    pub tick: Option<Duration>,
    /// Consecutive good probes that an endpoint needs before its first request; 0 lets it begin at once.
    pub initial_probes: u32,
}

impl From<HealthPlan> for Plan {
    fn from(plan: HealthPlan) -> Self {
        let tick_ms = plan.tick.map(Duration::as_tick_ms);
        Self { outcomes: plan.outcomes, tick_ms, initial_probes: plan.initial_probes, more: Vec::new() }
    }
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T> {
    policies: Policies<Policy<T>>,
}

struct Policy<T> {
    health: T,
    endpoints: Endpoints,
}

impl<T: Health> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let health = T::new(config::parse(config)?)?;
            let plan = health.plan().into();
            self.policies.insert(policy, Policy { health, endpoints: Endpoints::default() })?;
            Ok(plan)
        };
        create().map_err(ConfigErrors::into_vec)
    }

    pub fn destroy(&self, policy: u32) {
        self.policies.remove(policy);
    }

    pub fn endpoints(&self, policy: u32, generation: u64, endpoints: Vec<Endpoint>) {
        self.policies.call(policy, |p| {
            p.endpoints.replace(generation, endpoints);
            p.health.endpoints(&p.endpoints);
        });
    }

    pub fn probed(&self, policy: u32, now_ms: u64, probe: &ProbeResult) -> Vec<Transition> {
        self.policies.call(policy, |p| p.health.probed(now_ms, probe, &p.endpoints))
    }

    pub fn outcomes(&self, policy: u32, now_ms: u64, batch: &[Outcome]) -> Vec<Transition> {
        self.policies.call(policy, |p| p.health.outcomes(now_ms, batch, &p.endpoints))
    }

    pub fn tick(&self, policy: u32, now_ms: u64) -> Vec<Transition> {
        self.policies.call(policy, |p| p.health.tick(now_ms, &p.endpoints))
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.health.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.health.restore(state))
    }
}
