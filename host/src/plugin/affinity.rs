use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::api::v0_1::exports::plimsoll::plugin::affinity as wit;
use super::convert::{self, Attribute, Values};
use super::fault::Fault;
use super::instance::{CreateError, Instance, Live, ON_REQUEST_PATH, Plan};
use crate::snapshot::EndpointSet;

/// What an affinity policy said when it was created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffinityPlan {
    pub attributes: Box<[Attribute]>,
    /// Headers of the answer that [`Affinity::bind`] is called for; none for a name that cannot be.
    pub response_headers: Box<[Option<HeaderName>]>,
    /// Whether [`Affinity::prepare`] is to be called.
    pub rewrites_requests: bool,
}

/// What an affinity knows of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Bound to this slot, not yet checked.
    Bound(u32),
    /// As `Bound`, and the client's memory of it is to be renewed.
    Renew(u32),
    /// Was bound to what cannot serve it any more, or carried something invalid.
    Lost,
    /// New.
    Unbound,
}

impl From<wit::Binding> for Binding {
    fn from(binding: wit::Binding) -> Self {
        match binding {
            wit::Binding::Bound(slot) => Self::Bound(slot),
            wit::Binding::Renew(slot) => Self::Renew(slot),
            wit::Binding::Lost => Self::Lost,
            wit::Binding::Unbound => Self::Unbound,
        }
    }
}

/// A change to a head, with what can go over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
    /// The first cookie of the name gets another value.
    ReplaceCookie(String, Vec<u8>),
    /// All cookies of the name.
    RemoveCookie(String),
}

/// An affinity policy on a worker.
#[derive(Debug)]
pub struct Affinity {
    instance: Rc<RefCell<Instance>>,
    policy: u32,
}

impl Affinity {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { instance, policy }
    }

    /// What the policy said of itself. Another version of the plugin may say something else.
    pub fn plan(&self) -> Arc<AffinityPlan> {
        match self.instance.borrow().plan(self.policy) {
            Some(Plan::Affinity(plan)) => plan.clone(),
            _ => Arc::default(),
        }
    }

    pub fn find(&self, values: &Values) -> Result<Binding, Fault> {
        let binding = self.instance.borrow_mut().call(self.policy, ON_REQUEST_PATH, |live, policy| {
            let Some(affinity) = &live.affinity else { return Err(wasmtime::Error::msg("no such role")) };
            affinity.call_find(&mut live.store, policy, values)
        })?;
        Ok(binding.into())
    }

    /// What the endpoint is to see instead of what the client sent.
    pub fn prepare(&self, values: &Values) -> Result<Vec<HeaderEdit>, Fault> {
        let edits = self.instance.borrow_mut().call(self.policy, ON_REQUEST_PATH, |live, policy| {
            let Some(affinity) = &live.affinity else { return Err(wasmtime::Error::msg("no such role")) };
            affinity.call_prepare(&mut live.store, policy, values)
        })?;
        Ok(self.usable(edits))
    }

    /// What makes the client remember the endpoint that answered it. `response` has the fields of the headers of the plan.
    pub fn bind(&self, values: &Values, slot: u32, response: &[Vec<Vec<u8>>]) -> Result<Vec<HeaderEdit>, Fault> {
        let edits = self.instance.borrow_mut().call(self.policy, ON_REQUEST_PATH, |live, policy| {
            let Some(affinity) = &live.affinity else { return Err(wasmtime::Error::msg("no such role")) };
            affinity.call_bind(&mut live.store, policy, values, slot, response)
        })?;
        Ok(self.usable(edits))
    }

    /// The edits that can be made; whether there were others is counted.
    fn usable(&self, edits: Vec<wit::Edit>) -> Vec<HeaderEdit> {
        let offered = edits.len();
        let edits: Vec<HeaderEdit> = edits.into_iter().filter_map(edit).collect();
        if edits.len() < offered {
            self.invalid_answer();
        }
        edits
    }

    /// Brings the policy to another generation of the endpoints.
    pub fn set_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.instance.borrow_mut().set_endpoints(self.policy, endpoints);
    }

    /// Counts an answer that could not be used.
    pub fn invalid_answer(&self) -> Fault {
        self.instance.borrow_mut().invalid_answer(self.policy)
    }

    /// Counts that the host decided in the policy's stead.
    pub fn count_fallback(&self, fault: Fault) {
        if let Some(shard) = self.instance.borrow().shard(self.policy) {
            shard.fallback(fault.as_str());
        }
    }
}

pub(super) fn create(live: &mut Live, policy: u32, config: &str) -> Result<Plan, CreateError> {
    let Some(affinity) = &live.affinity else { return Err(CreateError::MissingRole) };
    let plan = affinity
        .call_create(&mut live.store, policy, config)
        .map_err(|error| CreateError::trapped(&error))?
        .map_err(|errors| CreateError::Refused(convert::mistakes(errors)))?;
    let response_headers = plan.response_headers.iter().map(|name| name.parse().ok()).collect();
    Ok(Plan::Affinity(Arc::new(AffinityPlan {
        attributes: plan.attributes.into_iter().map(Attribute::from).collect(),
        response_headers,
        rewrites_requests: plan.rewrites_requests,
    })))
}

/// None for what cannot go over the wire.
pub(super) fn edit(edit: wit::Edit) -> Option<HeaderEdit> {
    Some(match edit {
        wit::Edit::Set(header) => {
            let (name, value) = convert::header(header)?;
            HeaderEdit::Set(name, value)
        }
        wit::Edit::Append(header) => {
            let (name, value) = convert::header(header)?;
            HeaderEdit::Append(name, value)
        }
        wit::Edit::Remove(name) => HeaderEdit::Remove(name.parse().ok()?),
        wit::Edit::ReplaceCookie(cookie) => {
            // It would end the value and begin another cookie.
            if cookie.value.contains(&b';') || HeaderValue::from_bytes(&cookie.value).is_err() {
                return None;
            }
            HeaderEdit::ReplaceCookie(cookie.name, cookie.value)
        }
        wit::Edit::RemoveCookie(name) => HeaderEdit::RemoveCookie(name),
    })
}
