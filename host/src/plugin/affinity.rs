use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::api::v0_1::exports::plimsoll::plugin::affinity as wit;
use super::convert::{self, Attribute, Values};
use super::fault::Fault;
use super::instance::{CreateError, Instance, Live, ON_REQUEST_PATH, Plan};
use crate::snapshot::EndpointSet;

/// What an affinity policy said when it was created.
#[derive(Clone, Debug)]
pub struct AffinityPlan {
    pub attributes: Arc<[Attribute]>,
}

/// What an affinity knows of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Bound to this slot, not yet checked.
    Bound(u32),
    /// Was bound to what cannot serve it any more, or carried something invalid.
    Lost,
    /// New.
    Unbound,
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

    /// What the policy wants to see of a request.
    pub fn attributes(&self) -> Arc<[Attribute]> {
        match self.instance.borrow().plan(self.policy) {
            Some(Plan::Affinity(plan)) => plan.attributes.clone(),
            _ => Arc::new([]),
        }
    }

    pub fn find(&self, values: &Values) -> Result<Binding, Fault> {
        let binding = self.instance.borrow_mut().call(self.policy, ON_REQUEST_PATH, |live, policy| {
            let Some(affinity) = &live.affinity else { return Err(wasmtime::Error::msg("no such role")) };
            affinity.call_find(&mut live.store, policy, values)
        })?;
        Ok(match binding {
            wit::Binding::Bound(slot) => Binding::Bound(slot),
            wit::Binding::Lost => Binding::Lost,
            wit::Binding::Unbound => Binding::Unbound,
        })
    }

    /// Header fields that make the client remember the endpoint that answered it.
    pub fn bind(&self, values: &Values, slot: u32) -> Result<Vec<(http::HeaderName, http::HeaderValue)>, Fault> {
        let headers = self.instance.borrow_mut().call(self.policy, ON_REQUEST_PATH, |live, policy| {
            let Some(affinity) = &live.affinity else { return Err(wasmtime::Error::msg("no such role")) };
            affinity.call_bind(&mut live.store, policy, values, slot)
        })?;
        let offered = headers.len();
        let headers = convert::header_map(headers);
        if headers.len() < offered {
            self.invalid_answer();
        }
        Ok(headers)
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
    Ok(Plan::Affinity(AffinityPlan { attributes: convert::attributes(plan.attributes) }))
}
