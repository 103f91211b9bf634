use crate::{Attribute, CreateFailure, Endpoint, Subject};

/// An affinity under test. An error is a failure of the plugin: a trap, a deadline that was passed.
pub trait Affinity {
    /// What it said of itself when it was created.
    fn plan(&self) -> AffinityPlan;

    /// Tells it the endpoints of the next generation as a proxy does, by what changed if it takes that.
    fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), String>;

    /// Tells it the endpoints whole, as those of a generation.
    fn replace_endpoints(&mut self, generation: u64, endpoints: &[Endpoint]) -> Result<(), String>;

    /// Generation of the endpoints that it was told last; 0 before the first.
    fn generation(&self) -> u64;

    /// Whom a client is bound to that sends these values, in the order of the plan.
    fn find(&mut self, values: &[Option<Vec<u8>>]) -> Result<Binding, String>;

    /// What the endpoint is to see instead.
    fn prepare(&mut self, values: &[Option<Vec<u8>>]) -> Result<Vec<Edit>, String>;

    /// What the client gets when this slot answered with these fields, in the order of the plan.
    fn bind(&mut self, values: &[Option<Vec<u8>>], slot: u32, response: &[Vec<Vec<u8>>]) -> Result<Vec<Edit>, String>;

    /// The same policy in another instance of the same proxy, as on another worker, or after another version has come.
    /// They have secret, table and clock in common. It was told the same endpoints, and none of the state.
    fn another(&self) -> Result<Box<dyn Affinity>, String>;

    fn save(&mut self) -> Result<Vec<u8>, String>;

    fn restore(&mut self, state: &[u8]) -> Result<bool, String>;

    /// Destroys the policy and creates it again under its number, without endpoints.
    fn create_again(&mut self) -> Result<(), String>;

    /// What the clocks say: the monotonic one, and that of the machine is as much further.
    fn set_now_ms(&mut self, now_ms: u64);

    /// Memory of the instance; none where that is not known.
    fn memory_bytes(&self) -> Option<u64>;
}

/// What an affinity says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffinityPlan {
    pub attributes: Vec<Attribute>,
    /// Lower-case names.
    pub response_headers: Vec<String>,
    pub rewrites_requests: bool,
}

/// Whom a client is bound to, as in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    Bound(u32),
    Renew(u32),
    Lost,
    Unbound,
}

impl Binding {
    /// The slot, if there is one.
    pub fn slot(self) -> Option<u32> {
        match self {
            Self::Bound(slot) | Self::Renew(slot) => Some(slot),
            Self::Lost | Self::Unbound => None,
        }
    }
}

/// A change to a head, as in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Set(String, Vec<u8>),
    Append(String, Vec<u8>),
    Remove(String),
    ReplaceCookie(String, Vec<u8>),
    RemoveCookie(String),
    /// What cannot go over the wire: the host leaves it out, and counts it.
    Unusable(String),
}

/// An affinity of the proxy of this number.
pub(super) fn one(subject: &dyn Subject, config: &str, proxy: u32) -> Result<Box<dyn Affinity>, String> {
    several(subject, config, proxy, 1)?.pop().ok_or_else(|| "creating a policy: none was made".to_owned())
}

pub(super) fn several(
    subject: &dyn Subject,
    config: &str,
    proxy: u32,
    count: u32,
) -> Result<Vec<Box<dyn Affinity>>, String> {
    subject.affinities(config, proxy, count).map_err(|failure: CreateFailure| format!("creating a policy: {failure}"))
}
