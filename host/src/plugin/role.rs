//! What a role is to the host: where its functions are in a component, how its policies come and go, and what they are
//! told. Each role implements [`GuestRole`] in one file of `roles`; whatever deals with all of them sees only the traits
//! that follow from it here.

use std::any::Any;

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::create_error::CreateError;
use super::guest::Guest;
use super::policy::{PolicyConfig, Role};
use crate::snapshot::EndpointSet;

/// The functions of one role in a live guest.
pub(super) trait GuestRole: Sized + Send + 'static {
    const ROLE: Role;

    /// Where the functions are in a component.
    type Indices: Send + Sync + 'static;

    /// What a policy said when it was created, and what the host keeps with that.
    type Plan: Send + 'static;

    /// Looks for the role in a component; none where it has not this role.
    fn find(component: &InstancePre<Guest>) -> Option<Self::Indices>;

    fn load(indices: &Self::Indices, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Self>;

    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<Self::Plan, CreateError>;

    fn destroy(&self, store: &mut Store<Guest>, policy: u32) -> wasmtime::Result<()>;

    /// Tells a policy the step from `before` to `after`: by changes where the role takes them, else whole. `before` has
    /// generation 0 when the policy knows nothing.
    fn tell(
        &self,
        _store: &mut Store<Guest>,
        _policy: u32,
        _before: &EndpointSet,
        _after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        Ok(())
    }

    /// How far apart its ticks on a worker are, in milliseconds.
    fn tick_ms(_plan: &Self::Plan) -> Option<u32> {
        None
    }

    fn tick(&self, _store: &mut Store<Guest>, _policy: u32, _now_ms: u64) -> wasmtime::Result<()> {
        Ok(())
    }

    /// Keeps what the same policy had answered before its guest failed, and what still holds.
    fn inherit(_plan: &mut Self::Plan, _before: Self::Plan) {}
}

/// What every [`GuestRole`] takes from the bindings of its interface, which are types of their own for each: `from_bindings!(wit)`
/// in the implementation for a struct around `wit::Guest`.
macro_rules! from_bindings {
    ($wit:ident) => {
        type Indices = $wit::GuestIndices;

        fn find(component: &wasmtime::component::InstancePre<$crate::plugin::guest::Guest>) -> Option<Self::Indices> {
            $wit::GuestIndices::new(component).ok()
        }

        fn load(
            indices: &Self::Indices,
            store: &mut wasmtime::Store<$crate::plugin::guest::Guest>,
            instance: &wasmtime::component::Instance,
        ) -> wasmtime::Result<Self> {
            indices.load(store, instance).map(Self)
        }

        fn destroy(
            &self,
            store: &mut wasmtime::Store<$crate::plugin::guest::Guest>,
            policy: u32,
        ) -> wasmtime::Result<()> {
            self.0.call_destroy(store, policy)
        }
    };
}
pub(super) use from_bindings;

/// Looks for a role in a component: each is a line in the list of roles.
pub(super) type Find = fn(&InstancePre<Guest>) -> Option<Box<dyn Offer>>;

/// [`Find`] of a role.
pub(super) fn find<R: GuestRole>(component: &InstancePre<Guest>) -> Option<Box<dyn Offer>> {
    Some(Box::new(Offered::<R>(R::find(component)?)))
}

/// A role that a component has, not yet of any live guest.
pub(super) trait Offer: Send + Sync {
    fn role(&self) -> Role;

    fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Box<dyn AnyRole>>;
}

struct Offered<R: GuestRole>(R::Indices);

impl<R: GuestRole> Offer for Offered<R> {
    fn role(&self) -> Role {
        R::ROLE
    }

    fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Box<dyn AnyRole>> {
        Ok(Box::new(R::load(&self.0, store, instance)?))
    }
}

/// The plan of a policy of some role.
pub(super) type AnyPlan = Box<dyn Any + Send>;

/// [`GuestRole`] of some role.
pub(super) trait AnyRole: Any + Send {
    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<AnyPlan, CreateError>;

    fn destroy(&self, store: &mut Store<Guest>, policy: u32) -> wasmtime::Result<()>;

    fn tell(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()>;

    fn tick_ms(&self, plan: &AnyPlan) -> Option<u32>;

    fn tick(&self, store: &mut Store<Guest>, policy: u32, now_ms: u64) -> wasmtime::Result<()>;

    /// Answers `plan` with what it keeps of `before`.
    fn inherit(&self, plan: AnyPlan, before: AnyPlan) -> AnyPlan;
}

impl<R: GuestRole> AnyRole for R {
    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<AnyPlan, CreateError> {
        Ok(Box::new(GuestRole::create(self, store, policy, config)?))
    }

    fn destroy(&self, store: &mut Store<Guest>, policy: u32) -> wasmtime::Result<()> {
        GuestRole::destroy(self, store, policy)
    }

    fn tell(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        before: &EndpointSet,
        after: &EndpointSet,
    ) -> wasmtime::Result<()> {
        GuestRole::tell(self, store, policy, before, after)
    }

    fn tick_ms(&self, plan: &AnyPlan) -> Option<u32> {
        (**plan).downcast_ref().and_then(R::tick_ms)
    }

    fn tick(&self, store: &mut Store<Guest>, policy: u32, now_ms: u64) -> wasmtime::Result<()> {
        GuestRole::tick(self, store, policy, now_ms)
    }

    fn inherit(&self, mut plan: AnyPlan, before: AnyPlan) -> AnyPlan {
        if let (Some(plan), Ok(before)) = (plan.downcast_mut::<R::Plan>(), before.downcast::<R::Plan>()) {
            R::inherit(plan, *before);
        }
        plan
    }
}
