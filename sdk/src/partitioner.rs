use serde::de::DeserializeOwned;

use crate::policies::Policies;
use crate::wit::partitioner::{Group as WireGroup, Plan};
use crate::{Attribute, ConfigError, ConfigErrors, Endpoint, Endpoints, JsonSchema, Request, config};

/// Divides the endpoints of a cluster into groups, and decides which group an attempt goes to. Inside the group the
/// balancer chooses that the partitioner wraps.
pub trait Partitioner: Sized + 'static {
    type Config: DeserializeOwned + JsonSchema;

    /// A policy from its configuration. What serde cannot say about it is checked here.
    fn new(config: Self::Config) -> Result<Self, ConfigErrors>;

    /// What [`Self::choose`] wants to see. Asked once.
    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    /// Whether a request must not go where this did not send it. While it cannot be asked, because it failed, the host
    /// answers 503 then, instead of choosing among all endpoints. Asked once.
    fn is_strict(&self) -> bool {
        false
    }

    /// The endpoints are now these: divides them. Do here whatever makes [`Self::choose`] fast.
    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group>;

    /// Chooses a group by its place among those of [`Self::partition`]; none says that no endpoint may take the request.
    /// On the path of every request: do not allocate.
    fn choose(&mut self, question: &Choose<'_>) -> Option<u32>;

    /// State to hand to the next version of the plugin, at most 1 MiB.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what some version of [`Self::save`] gave; false when it is not understood.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

/// Some endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Tells the group from the others of the cluster, from one generation to the next.
    pub name: String,
    /// Each at most once.
    pub slots: Vec<u32>,
}

/// One question to a partitioner.
#[derive(Clone, Copy, Debug)]
pub struct Choose<'a> {
    /// Values of [`Partitioner::attributes`].
    pub request: Request<'a>,
    /// Hash of what the configuration hashes on, if it does.
    pub key: Option<u64>,
    /// Counts from 1.
    pub attempt: u32,
    /// The endpoints as they are now.
    pub endpoints: &'a Endpoints,
}

/// The exported functions of the role, over all policies of the instance.
#[expect(missing_debug_implementations, reason = "a static that nobody prints")]
pub struct Exports<T> {
    policies: Policies<Policy<T>>,
}

struct Policy<T> {
    partitioner: T,
    attributes: Vec<Attribute>,
    endpoints: Endpoints,
}

impl<T: Partitioner> Exports<T> {
    #[expect(clippy::new_without_default, reason = "a default cannot be const, and this lives in a static")]
    pub const fn new() -> Self {
        Self { policies: Policies::new() }
    }

    pub fn create(&self, policy: u32, config: &str) -> Result<Plan, Vec<ConfigError>> {
        let create = || {
            let partitioner = T::new(config::parse(config)?)?;
            let attributes = partitioner.attributes();
            let plan = Plan { attributes: attributes.clone(), strict: partitioner.is_strict(), more: Vec::new() };
            self.policies.insert(policy, Policy { partitioner, attributes, endpoints: Endpoints::default() })?;
            Ok(plan)
        };
        create().map_err(ConfigErrors::into_vec)
    }

    pub fn destroy(&self, policy: u32) {
        self.policies.remove(policy);
    }

    pub fn endpoints(&self, policy: u32, generation: u64, endpoints: Vec<Endpoint>) -> Vec<WireGroup> {
        self.policies.call(policy, |p| {
            p.endpoints.replace(generation, endpoints);
            let groups = p.partitioner.partition(&p.endpoints);
            groups.into_iter().map(|group| WireGroup { name: group.name, slots: group.slots }).collect()
        })
    }

    #[inline]
    pub fn choose(&self, policy: u32, values: &[Option<Vec<u8>>], key: Option<u64>, attempt: u32) -> Option<u32> {
        self.policies.call(policy, |p| {
            let request = Request::new(&p.attributes, values);
            p.partitioner.choose(&Choose { request, key, attempt, endpoints: &p.endpoints })
        })
    }

    pub fn save(&self, policy: u32) -> Vec<u8> {
        self.policies.call(policy, |p| p.partitioner.save())
    }

    pub fn restore(&self, policy: u32, state: &[u8]) -> bool {
        self.policies.call(policy, |p| p.partitioner.restore(state))
    }
}
