use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::filter as wit;
use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::guest::Guest;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};

/// The functions of a filter. The host does not call them yet; policies can be created, so that configurations are
/// checked.
pub(in crate::plugin) struct FilterGuest(wit::Guest);

impl GuestRole for FilterGuest {
    const ROLE: Role = Role::Filter;
    type Plan = ();

    from_bindings!(wit);

    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<(), CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        convert::attributes(plan.attributes).map(drop)
    }
}
