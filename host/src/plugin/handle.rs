use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use wasmtime::Store;

use super::create_error::CreateError;
use super::deadline::Call;
use super::fault::Fault;
use super::guest::Guest;
use super::instance::Instance;
use super::role::GuestRole;
use super::shadow::{Shadow, ShadowPlace};
use crate::snapshot::EndpointSet;

/// A policy of a role on a worker. One that was made for a group of endpoints ends when its handle is dropped; those of
/// the configuration end with their instance.
pub(super) struct Handle<R> {
    instance: Rc<RefCell<Instance>>,
    policy: u32,
    /// Where a candidate decides beside it, on a worker.
    shadow: Rc<ShadowPlace>,
    is_of_group: bool,
    role: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {} of {:?}", self.policy, self.instance)
    }
}

impl<R: GuestRole> Handle<R> {
    pub(super) fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { instance, policy, shadow: Rc::default(), is_of_group: false, role: PhantomData }
    }

    /// With the place of a candidate beside its instance.
    pub(super) fn beside(mut self, shadow: &Rc<ShadowPlace>) -> Self {
        self.shadow = shadow.clone();
        self
    }

    /// Does something with the candidate beside the instance, if there is one. The instance must not be borrowed.
    #[inline]
    pub(super) fn with_shadow<T>(&self, act: impl FnOnce(&mut Shadow, u32) -> T) -> Option<T> {
        self.shadow.with(|shadow| act(shadow, self.policy))
    }

    /// Another policy of the same configuration, for a part of the cluster.
    pub(super) fn another(&self, part: &str, endpoints: &Arc<EndpointSet>) -> Result<Self, CreateError> {
        let policy = self.instance.borrow_mut().add_policy_like(self.policy, part, endpoints)?;
        self.with_shadow(|shadow, around| shadow.add_like(around, part, endpoints, policy));
        let mut handle = Self::new(self.instance.clone(), policy).beside(&self.shadow);
        handle.is_of_group = true;
        Ok(handle)
    }

    /// Calls a function of the role.
    #[inline]
    pub(super) fn ask<T>(
        &self,
        call: Call,
        ask: impl FnOnce(&R, &mut Store<Guest>, u32) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        self.instance.borrow_mut().ask(self.policy, call, ask)
    }

    /// Something of what the policy said when it was created. The version that is live now may have said something else
    /// than the one before.
    #[inline]
    pub(super) fn plan<T>(&self, read: impl FnOnce(&R::Plan) -> T) -> Option<T> {
        self.instance.borrow().plan::<R>(self.policy).map(read)
    }

    /// What the policy is kept in, and its number there.
    pub(super) fn parts(&self) -> (&RefCell<Instance>, u32) {
        (&self.instance, self.policy)
    }

    /// Brings the policy to another generation of the endpoints.
    pub(super) fn set_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.instance.borrow_mut().set_endpoints(self.policy, endpoints);
        self.with_shadow(|shadow, policy| shadow.set_endpoints(policy, endpoints));
    }

    /// Notes endpoints that the policy is told in another way.
    pub(super) fn note_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.instance.borrow_mut().replace_endpoints(self.policy, endpoints);
    }

    /// Counts an answer that could not be used, and says why.
    pub(super) fn invalid_answer(&self, reason: impl fmt::Display) -> Fault {
        self.instance.borrow_mut().invalid_answer(self.policy, reason)
    }

    /// Counts that the host decided in the policy's stead.
    pub(super) fn count_fallback(&self, fault: Fault) {
        if let Some(shard) = self.instance.borrow().shard(self.policy) {
            shard.fallback(fault.as_str());
        }
    }
}

impl<R> Drop for Handle<R> {
    fn drop(&mut self) {
        // Nothing drops a handle within a call of its instance; if something did, the policy would end with the instance.
        if self.is_of_group
            && let Ok(mut instance) = self.instance.try_borrow_mut()
        {
            instance.destroy_policy(self.policy);
            self.shadow.with(|shadow| shadow.remove(self.policy));
        }
    }
}
