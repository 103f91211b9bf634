use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::partitioner as wit;
use crate::plugin::convert::{self, Attribute, Values};
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::handle::Handle;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};
use crate::snapshot::{Endpoint, EndpointSet};

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
    handle: Handle<PartitionerGuest>,
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
        self.handle.plan(|plan| plan.attributes.clone()).unwrap_or_default()
    }

    /// Whether a request must not go where the policy did not send it, also while it cannot be asked.
    pub fn is_strict(&self) -> bool {
        self.handle.plan(|plan| plan.is_strict).unwrap_or(false)
    }

    /// Divides the endpoints.
    pub fn divide(&self, endpoints: &Arc<EndpointSet>) -> Result<Vec<Group>, Fault> {
        self.handle.note_endpoints(endpoints);
        self.handle.ask(Call::at_change("endpoints"), |partitioner, store, policy| {
            partitioner.divide(store, policy, endpoints)
        })
    }

    /// Asks for a group by its place. `Ok(None)` is the plugin's word that no endpoint may take the request.
    pub fn choose(&self, values: &Values, key: Option<u64>, attempt: u32) -> Result<Option<u32>, Fault> {
        self.handle.ask(Call::on_request_path("choose"), |partitioner, store, policy| {
            partitioner.choose(store, policy, values, key, attempt)
        })
    }

    /// Counts an answer that could not be used, and says why.
    pub fn invalid_answer(&self, reason: impl std::fmt::Display) -> Fault {
        self.handle.invalid_answer(reason)
    }

    /// Counts that the host decided in the policy's stead.
    pub fn count_fallback(&self, fault: Fault) {
        self.handle.count_fallback(fault);
    }
}

/// The functions of a partitioner.
pub(in crate::plugin) struct PartitionerGuest(wit::Guest);

impl GuestRole for PartitionerGuest {
    const ROLE: Role = Role::Partitioner;
    type Plan = PartitionerPlan;

    from_bindings!(wit);

    fn create(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        config: &PolicyConfig,
    ) -> Result<PartitionerPlan, CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        Ok(PartitionerPlan { attributes: convert::attributes(plan.attributes)?, is_strict: plan.strict })
    }

    /// Only the rebuilding of a guest comes here; the groups are those that are known.
    fn tell(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        _before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        self.divide(store, policy, after).map(drop)
    }
}

impl PartitionerGuest {
    fn divide(&self, store: &mut Store<Guest>, policy: u32, endpoints: &EndpointSet) -> wasmtime::Result<Vec<Group>> {
        self.0.call_endpoints(store, policy, endpoints.generation(), &convert::endpoints(endpoints)).map(groups)
    }

    /// Divides endpoints at slots of any size, as of any generation.
    pub(in crate::plugin) fn divide_these(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        generation: u64,
        endpoints: &[Endpoint],
    ) -> wasmtime::Result<Vec<Group>> {
        let endpoints: Vec<_> = endpoints.iter().map(convert::endpoint).collect();
        self.0.call_endpoints(store, policy, generation, &endpoints).map(groups)
    }

    pub(in crate::plugin) fn choose(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        values: &Values,
        key: Option<u64>,
        attempt: u32,
    ) -> wasmtime::Result<Option<u32>> {
        self.0.call_choose(store, policy, values, key, attempt)
    }
}

fn groups(groups: Vec<wit::Group>) -> Vec<Group> {
    groups.into_iter().map(|group| Group { name: group.name, slots: group.slots }).collect()
}
