use serde::de::DeserializeOwned;

pub use crate::wit::affinity::{Binding, Edit as HeaderEdit};

use crate::policies::Policies;
use crate::wit::affinity::Plan;
use crate::{
    Attribute, Change, ConfigError, ConfigErrors, Duration, Endpoint, Endpoints, Header, JsonSchema, Request, config,
};

/// Decides which endpoint a client is bound to, and what the client is given to remember it by.
pub trait Affinity: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    /// What [`Self::find`], [`Self::prepare`] and [`Self::bind`] want to see. Asked once.
    fn attributes(&self) -> Vec<Attribute>;

    /// Lower-case names of response headers that [`Self::bind`] wants to see: it is called for every answer that has
    /// one of them. Asked once.
    fn response_headers(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether [`Self::prepare`] is called. Asked once.
    fn rewrites_requests(&self) -> bool {
        false
    }

    /// Interval of [`Self::tick`], 100 ms at the least; none for no ticks. Asked once.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// Time passed. `now_ms` is monotonic.
    fn tick(&mut self, _now_ms: u64, _endpoints: &Endpoints) {}

    /// The endpoints are now these.
    fn endpoints(&mut self, _endpoints: &Endpoints) {}

    /// The endpoints are now these, and `changes` is how they came about.
    fn changes(&mut self, endpoints: &Endpoints, _changes: &[Change]) {
        self.endpoints(endpoints);
    }

    /// Which endpoint the client is bound to. [`Endpoints::keeps_bound`] says whether it may still serve it.
    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding;

    /// What the endpoint, whichever it will be, is to see instead of what the client sent.
    fn prepare(&mut self, _request: &Request<'_>) -> Vec<HeaderEdit> {
        Vec::new()
    }

    /// The request was answered: by another endpoint than [`Self::find`] gave, or after [`Binding::Renew`], or with one
    /// of [`Self::response_headers`]. The edits are applied to the response.
    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit>;

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

/// The answer to a request, as far as an affinity sees it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The endpoint that gave it.
    pub slot: u32,
    fields: &'a [Vec<Vec<u8>>],
}

impl<'a> Answer<'a> {
    /// Values of the header at this place of [`Affinity::response_headers`], one for each field, in their order.
    pub fn fields(&self, index: usize) -> &'a [Vec<u8>] {
        self.fields.get(index).map_or(&[], Vec::as_slice)
    }
}

impl HeaderEdit {
    /// A field more.
    pub fn append(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self::Append(Header { name: name.to_owned(), value: value.into() })
    }

    /// This field in the place of all of its name.
    pub fn set(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self::Set(Header { name: name.to_owned(), value: value.into() })
    }
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T> {
    policies: Policies<Policy<T>>,
}

struct Policy<T> {
    affinity: T,
    attributes: Vec<Attribute>,
    endpoints: Endpoints,
}

impl<T: Affinity> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let affinity = T::new(config::parse(config)?)?;
            let attributes = affinity.attributes();
            let plan = Plan {
                attributes: attributes.clone(),
                response_headers: affinity.response_headers(),
                rewrites_requests: affinity.rewrites_requests(),
                tick_ms: affinity.tick_interval().map(Duration::as_tick_ms),
                more: Vec::new(),
            };
            self.policies.insert(policy, Policy { affinity, attributes, endpoints: Endpoints::default() })?;
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
            p.affinity.endpoints(&p.endpoints);
        });
    }

    pub fn changes(&self, policy: u32, base: u64, generation: u64, changes: &[Change]) -> bool {
        self.policies.call(policy, |p| {
            let fits = p.endpoints.apply(base, generation, changes);
            if fits {
                p.affinity.changes(&p.endpoints, changes);
            }
            fits
        })
    }

    pub fn find(&self, policy: u32, values: &[Option<Vec<u8>>]) -> Binding {
        self.policies
            .call_or(policy, Binding::Unbound, |p| p.affinity.find(&Request::new(&p.attributes, values), &p.endpoints))
    }

    pub fn prepare(&self, policy: u32, values: &[Option<Vec<u8>>]) -> Vec<HeaderEdit> {
        self.policies.call(policy, |p| p.affinity.prepare(&Request::new(&p.attributes, values)))
    }

    pub fn bind(&self, policy: u32, values: &[Option<Vec<u8>>], slot: u32, fields: &[Vec<Vec<u8>>]) -> Vec<HeaderEdit> {
        let answer = Answer { slot, fields };
        self.policies.call(policy, |p| p.affinity.bind(&Request::new(&p.attributes, values), &answer, &p.endpoints))
    }

    pub fn tick(&self, policy: u32, now_ms: u64) {
        self.policies.call(policy, |p| p.affinity.tick(now_ms, &p.endpoints));
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.affinity.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.affinity.restore(state))
    }
}
