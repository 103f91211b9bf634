use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::convert::{self, Attribute, Values};
use super::fault::Fault;
use super::handle::Handle;
use super::instance::{AT_CHANGE, CreateError, Instance, Live, ON_REQUEST_PATH, Plan};
use crate::snapshot::EndpointSet;

/// What a partitioner policy said when it was created.
#[derive(Clone, Debug)]
pub struct PartitionerPlan {
    pub attributes: Arc<[Attribute]>,
    /// Whether a request must not go where the policy did not send it.
    pub is_strict: bool,
}

/// Some endpoints of a cluster, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub slots: Vec<u32>,
}

/// A partitioner policy on a worker.
#[derive(Debug)]
pub struct Partitioner {
    handle: Handle,
}

impl Partitioner {
    pub fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { handle: Handle::new(instance, policy) }
    }

    /// Another policy of the same configuration, for a part of the cluster. It ends when it is dropped.
    pub fn another(&self, part: &str, endpoints: &Arc<EndpointSet>) -> Result<Self, CreateError> {
        Ok(Self { handle: self.handle.another(part, endpoints)? })
    }

    /// What the policy wants to see of a request.
    pub fn attributes(&self) -> Arc<[Attribute]> {
        match self.handle.instance().plan(self.handle.policy()) {
            Some(Plan::Partitioner(plan)) => plan.attributes.clone(),
            _ => Arc::new([]),
        }
    }

    /// Whether a request must not go where the policy did not send it, also while it cannot be asked.
    pub fn is_strict(&self) -> bool {
        matches!(self.handle.instance().plan(self.handle.policy()), Some(Plan::Partitioner(plan)) if plan.is_strict)
    }

    /// Divides the endpoints.
    pub fn divide(&self, endpoints: &Arc<EndpointSet>) -> Result<Vec<Group>, Fault> {
        let mut instance = self.handle.instance_mut();
        instance.replace_endpoints(self.handle.policy(), endpoints);
        instance.call(self.handle.policy(), AT_CHANGE, |live, policy| tell(live, policy, endpoints))
    }

    /// Asks for a group by its place. `Ok(None)` is the plugin's word that no endpoint may take the request.
    pub fn choose(&self, values: &Values, key: Option<u64>, attempt: u32) -> Result<Option<u32>, Fault> {
        self.handle.instance_mut().call(self.handle.policy(), ON_REQUEST_PATH, |live, policy| {
            let Some(partitioner) = &live.partitioner else { return Err(wasmtime::Error::msg("no such role")) };
            partitioner.call_choose(&mut live.store, policy, values, key, attempt)
        })
    }

    /// Counts an answer that could not be used.
    pub fn invalid_answer(&self) -> Fault {
        self.handle.instance_mut().invalid_answer(self.handle.policy())
    }

    /// Counts that the host decided in the policy's stead.
    pub fn count_fallback(&self, fault: Fault) {
        if let Some(shard) = self.handle.instance().shard(self.handle.policy()) {
            shard.fallback(fault.as_str());
        }
    }
}

pub(super) fn create(live: &mut Live, policy: u32, config: &str) -> Result<Plan, CreateError> {
    let Some(partitioner) = &live.partitioner else { return Err(CreateError::MissingRole) };
    let plan = partitioner
        .call_create(&mut live.store, policy, config)
        .map_err(|error| CreateError::trapped(&error))?
        .map_err(|errors| CreateError::Refused(convert::mistakes(errors)))?;
    let attributes = convert::attributes(plan.attributes);
    Ok(Plan::Partitioner(PartitionerPlan { attributes, is_strict: plan.strict }))
}

pub(super) fn tell(live: &mut Live, policy: u32, endpoints: &EndpointSet) -> wasmtime::Result<Vec<Group>> {
    let Some(partitioner) = &live.partitioner else { return Ok(Vec::new()) };
    let told = convert::endpoints(endpoints);
    let groups = partitioner.call_endpoints(&mut live.store, policy, endpoints.generation(), &told)?;
    Ok(groups.into_iter().map(|group| Group { name: group.name, slots: group.slots }).collect())
}
