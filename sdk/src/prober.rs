use serde::de::DeserializeOwned;

pub use crate::wit::prober::{
    Action as ProbeAction, Event as ProbeEvent, Handshake, HttpRequest as ProbeRequest, HttpResponse as ProbeResponse,
    Load as ProbeLoad, Mode as EndpointMode, Target, Tls, Transport, Verdict as ProbeVerdict,
};

use crate::policies::Policies;
use crate::wit::prober::Plan;
use crate::{ConfigError, ConfigErrors, JsonSchema, Sorted, config};

/// Speaks a health protocol. The host owns sockets, timeouts and limits: a probe without a verdict in time fails.
pub trait Prober: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;
    /// What is kept for one probe under way. Several run at the same time.
    type Session;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    fn transport(&self) -> Transport;

    /// How TLS is spoken, where it is. Asked once.
    fn tls(&self) -> Option<Tls> {
        None
    }

    /// A probe begins.
    fn open(&mut self, target: &Target) -> (Self::Session, Vec<ProbeAction>);

    /// Something happened in it.
    fn advance(&mut self, session: &mut Self::Session, event: ProbeEvent) -> Vec<ProbeAction>;

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

impl ProbeAction {
    /// The probe ends well. `detail` is for logs: lower case, no full stop.
    pub fn pass(detail: impl Into<String>) -> Self {
        Self::Finish(ProbeVerdict { passed: true, detail: detail.into() })
    }

    /// The probe ends badly. `detail` is for logs: lower case, no full stop, no credentials.
    pub fn fail(detail: impl Into<String>) -> Self {
        Self::Finish(ProbeVerdict { passed: false, detail: detail.into() })
    }
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T: Prober> {
    policies: Policies<Policy<T>>,
}

struct Policy<T: Prober> {
    prober: T,
    sessions: Sorted<u32, T::Session>,
}

impl<T: Prober> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let prober = T::new(config::parse(config)?)?;
            let plan = Plan { transport: prober.transport(), tls: prober.tls(), more: Vec::new() };
            self.policies.insert(policy, Policy { prober, sessions: Sorted::new() })?;
            Ok(plan)
        };
        create().map_err(ConfigErrors::into_vec)
    }

    pub fn destroy(&self, policy: u32) {
        self.policies.remove(policy);
    }

    pub fn open(&self, policy: u32, session: u32, target: &Target) -> Vec<ProbeAction> {
        self.policies.call(policy, |p| {
            let (state, actions) = p.prober.open(target);
            p.sessions.insert(session, state);
            actions
        })
    }

    pub fn advance(&self, policy: u32, session: u32, event: ProbeEvent) -> Vec<ProbeAction> {
        self.policies.call(policy, |p| match p.sessions.get_mut(&session) {
            Some(state) => p.prober.advance(state, event),
            None => Vec::new(),
        })
    }

    pub fn close(&self, policy: u32, session: u32) {
        self.policies.call(policy, |p| {
            p.sessions.remove(&session);
        });
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.prober.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.prober.restore(state))
    }
}
