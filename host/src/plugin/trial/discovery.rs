use super::policy::PolicyOnTrial;
use crate::plugin::roles::{DiscoveryAction, DiscoveryGuest, OutwardAnswer, OutwardError};

impl PolicyOnTrial {
    /// What it wants after a tick, with the mistakes in that; `clusters` is how many it may call.
    pub fn discovery_tick(&self, now_ms: u64, clusters: usize) -> Result<Vec<Result<DiscoveryAction, String>>, String> {
        self.ask("tick", |discovery: &DiscoveryGuest, store, policy| {
            discovery.tick_on_trial(store, policy, now_ms, clusters)
        })
    }

    pub fn discovery_answered(
        &self,
        now_ms: u64,
        answered: (u32, Result<OutwardAnswer, OutwardError>),
        clusters: usize,
    ) -> Result<Vec<Result<DiscoveryAction, String>>, String> {
        self.ask("answered", |discovery: &DiscoveryGuest, store, policy| {
            discovery.answered_on_trial(store, policy, now_ms, answered, clusters)
        })
    }
}
