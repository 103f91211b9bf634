use std::sync::Arc;

use plimsoll_conformance as suite;

use super::endpoints::text;
use crate::plugin::{PolicyOnTrial, Services};

/// A policy of a component that is no balancer's, with the clock that the suite sets and what its role needs besides.
pub(super) struct UnderTest<R> {
    pub(super) trial: PolicyOnTrial,
    pub(super) role: R,
    services: Arc<Services>,
}

impl<R> UnderTest<R> {
    pub(super) fn new(trial: PolicyOnTrial, services: &Arc<Services>, role: R) -> Self {
        Self { trial, role, services: services.clone() }
    }
}

impl<R> suite::Policy for UnderTest<R> {
    fn save(&mut self) -> Result<Vec<u8>, String> {
        self.trial.save().map_err(text)
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        self.trial.restore(state).map_err(text)
    }

    fn create_again(&mut self) -> Result<(), String> {
        self.trial.create_again()
    }

    fn set_now_ms(&mut self, now_ms: u64) {
        self.services.set_now_ms(now_ms);
    }

    fn memory_bytes(&self) -> Option<u64> {
        self.trial.memory_bytes()
    }
}
