use serde::de::DeserializeOwned;

pub use crate::wit::router::{
    Action, Affinity as RouteAffinity, Decision, Edit as RouteEdit, Mirror, PathRewrite, Redirect, Response, Retry,
    Rewrite, RouteSettings as Route, Timeouts,
};

use crate::policies::Policies;
use crate::wit::router::Plan;
use crate::{Attribute, ConfigError, ConfigErrors, JsonSchema, Request, config};

/// Decides where a request or a connection goes.
pub trait Router: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    /// What [`Self::route`] wants to see. Asked once; the fewer, the more often the host can repeat an answer.
    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    /// Names of the clusters that [`Action::Forward`] counts in. Asked once.
    fn clusters(&self) -> Vec<String>;

    /// The routes that [`Decision::route`] counts in, with what holds for their requests. Asked once.
    fn routes(&self) -> Vec<Route> {
        Vec::new()
    }

    /// Which of [`Self::clusters`] requests go to while the plugin cannot be asked, because it failed. None has the host
    /// answer 503, which is right where a wrong cluster is worse than none. Asked once.
    fn fallback(&self) -> Option<u32> {
        None
    }

    fn route(&mut self, request: &Request<'_>) -> Decision;

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

impl Decision {
    /// No route takes the request, and none would take another with the same values.
    pub const fn no_route() -> Self {
        Self { action: Action::NoRoute, route: None, repeatable: true }
    }
}

impl Route {
    /// A route for whose requests nothing in particular holds. The label is for logs and metrics.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            timeouts: Timeouts { request_ms: None, first_byte_ms: None },
            retry: None,
            affinity: None,
            filters: Vec::new(),
            rewrite: None,
            mirrors: Vec::new(),
            more: Vec::new(),
        }
    }
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T> {
    policies: Policies<Policy<T>>,
}

struct Policy<T> {
    router: T,
    attributes: Vec<Attribute>,
}

impl<T: Router> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let router = T::new(config::parse(config)?)?;
            let attributes = router.attributes();
            let plan = Plan {
                attributes: attributes.clone(),
                clusters: router.clusters(),
                routes: router.routes(),
                fallback: router.fallback(),
                more: Vec::new(),
            };
            self.policies.insert(policy, Policy { router, attributes })?;
            Ok(plan)
        };
        create().map_err(ConfigErrors::into_vec)
    }

    pub fn destroy(&self, policy: u32) {
        self.policies.remove(policy);
    }

    pub fn route(&self, policy: u32, values: &[Option<Vec<u8>>]) -> Decision {
        self.policies.call_or(policy, Decision { repeatable: false, ..Decision::no_route() }, |p| {
            p.router.route(&Request::new(&p.attributes, values))
        })
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.router.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.router.restore(state))
    }
}
