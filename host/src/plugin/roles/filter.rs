use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::plugin::api::v0_2::exports::plimsoll::plugin::filter as wit;
use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::guest::Guest;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::GuestRole;

/// The functions of a filter. The host does not call them yet; policies can be created, so that configurations are
/// checked.
pub(in crate::plugin) struct FilterGuest(wit::Guest);

impl GuestRole for FilterGuest {
    const ROLE: Role = Role::Filter;
    type Indices = wit::GuestIndices;
    type Plan = ();

    fn find(component: &InstancePre<Guest>) -> Option<Self::Indices> {
        wit::GuestIndices::new(component).ok()
    }

    fn load(indices: &Self::Indices, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance).map(Self)
    }

    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<(), CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        convert::attributes(plan.attributes).map(drop)
    }

    fn destroy(&self, store: &mut Store<Guest>, policy: u32) -> wasmtime::Result<()> {
        self.0.call_destroy(store, policy)
    }
}
