use serde::de::DeserializeOwned;

pub use crate::wit::discovery::{
    Action as DiscoveryAction, Answer as OutwardAnswer, Call as OutwardCall, CallError as OutwardError, FoundEndpoint,
};

use crate::policies::Policies;
use crate::wit::discovery::Plan;
use crate::{ConfigError, ConfigErrors, Duration, JsonSchema, config};

/// Finds the endpoints of a cluster. The host makes the requests that it wants; times are monotonic milliseconds.
pub trait Discovery: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    /// Asked once.
    fn plan(&self) -> DiscoveryPlan;

    /// Time passed: at once for the first time, and when another version has taken over.
    fn tick(&mut self, now_ms: u64) -> Vec<DiscoveryAction>;

    /// What came of the call of this number.
    fn answered(
        &mut self,
        now_ms: u64,
        number: u32,
        answer: Result<OutwardAnswer, OutwardError>,
    ) -> Vec<DiscoveryAction>;

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

/// What a discovery wants to be called for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryPlan {
    /// Names of the clusters that it may call.
    pub clusters: Vec<String>,
    /// Interval of [`Discovery::tick`], 100 ms at the least; none for the first one alone.
    pub tick: Option<Duration>,
}

impl OutwardCall {
    /// A GET of this path and query from the cluster at this place of the plan, within ten seconds.
    pub fn get(number: u32, cluster: u32, path: impl Into<String>) -> Self {
        Self {
            number,
            cluster,
            method: "GET".to_owned(),
            authority: None,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 10_000,
        }
    }
}

impl FoundEndpoint {
    /// `IP:PORT` or `HOST:PORT`, with nothing else said about it.
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            id: None,
            address: address.into(),
            weight: None,
            priority: None,
            max_connections: None,
            zone: String::new(),
            metadata: Vec::new(),
        }
    }
}

impl OutwardError {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "no endpoint could take the call",
            Self::Timeout => "no answer in time",
            Self::Broken => "the connection was lost, or what came was no answer",
            Self::TooLarge => "the answer is too large",
        }
    }
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T> {
    policies: Policies<T>,
}

impl<T: Discovery> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let discovery = T::new(config::parse(config)?)?;
            let DiscoveryPlan { clusters, tick } = discovery.plan();
            self.policies.insert(policy, discovery)?;
            Ok(Plan { clusters, tick_ms: tick.map(Duration::as_tick_ms), more: Vec::new() })
        };
        create().map_err(ConfigErrors::into_vec)
    }

    pub fn destroy(&self, policy: u32) {
        self.policies.remove(policy);
    }

    pub fn tick(&self, policy: u32, now_ms: u64) -> Vec<DiscoveryAction> {
        self.policies.call(policy, |p| p.tick(now_ms))
    }

    pub fn answered(
        &self,
        policy: u32,
        now_ms: u64,
        number: u32,
        answer: Result<OutwardAnswer, OutwardError>,
    ) -> Vec<DiscoveryAction> {
        self.policies.call(policy, |p| p.answered(now_ms, number, answer))
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.restore(state))
    }
}
