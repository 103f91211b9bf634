use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

use super::instance::{CreateError, Instance};
use crate::snapshot::EndpointSet;

/// A policy on a worker. One that was made for a group of endpoints ends when its handle is dropped; those of the
/// configuration end with their instance.
#[derive(Debug)]
pub(super) struct Handle {
    instance: Rc<RefCell<Instance>>,
    policy: u32,
    is_of_group: bool,
}

impl Handle {
    pub(super) fn new(instance: Rc<RefCell<Instance>>, policy: u32) -> Self {
        Self { instance, policy, is_of_group: false }
    }

    /// Another policy of the same configuration, for a part of the cluster.
    pub(super) fn another(&self, part: &str, endpoints: &Arc<EndpointSet>) -> Result<Self, CreateError> {
        let policy = self.instance.borrow_mut().add_policy_like(self.policy, part, endpoints)?;
        let mut handle = Self::new(self.instance.clone(), policy);
        handle.is_of_group = true;
        Ok(handle)
    }

    pub(super) fn policy(&self) -> u32 {
        self.policy
    }

    pub(super) fn instance(&self) -> Ref<'_, Instance> {
        self.instance.borrow()
    }

    pub(super) fn instance_mut(&self) -> RefMut<'_, Instance> {
        self.instance.borrow_mut()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Nothing drops a handle within a call of its instance; if something did, the policy would end with the instance.
        if self.is_of_group
            && let Ok(mut instance) = self.instance.try_borrow_mut()
        {
            instance.destroy_policy(self.policy);
        }
    }
}
