use std::cell::RefCell;

use crate::ConfigErrors;

/// More policies than any configuration has, and few enough that the table stays small when a number is absurd.
const MOST: u32 = 1 << 16;

/// The policies of one role, by the numbers that the host chose. Looking one up is an index: it is on the path of every
/// request. An instance is never entered twice, so the borrow cannot fail.
pub(crate) struct Policies<P>(RefCell<Vec<Option<P>>>);

impl<P> Policies<P> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    pub(crate) fn insert(&self, number: u32, policy: P) -> Result<(), ConfigErrors> {
        if number >= MOST {
            return Err(ConfigErrors::at("", "the number of the policy is over the limit of 65536"));
        }
        let mut policies = self.0.borrow_mut();
        let index = number as usize;
        if policies.len() <= index {
            policies.resize_with(index + 1, || None);
        }
        policies[index] = Some(policy);
        Ok(())
    }

    pub(crate) fn remove(&self, number: u32) {
        if let Some(place) = self.0.borrow_mut().get_mut(number as usize) {
            *place = None;
        }
    }

    /// Calls the policy, or answers with the default for a number that nobody created.
    #[inline]
    pub(crate) fn call<R: Default>(&self, number: u32, call: impl FnOnce(&mut P) -> R) -> R {
        match self.0.borrow_mut().get_mut(number as usize) {
            Some(Some(policy)) => call(policy),
            _ => R::default(),
        }
    }

    /// As [`Self::call`], for answers without a default.
    #[inline]
    pub(crate) fn call_or<R>(&self, number: u32, otherwise: R, call: impl FnOnce(&mut P) -> R) -> R {
        match self.0.borrow_mut().get_mut(number as usize) {
            Some(Some(policy)) => call(policy),
            _ => otherwise,
        }
    }
}
