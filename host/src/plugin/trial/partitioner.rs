use super::policy::PolicyOnTrial;
use crate::plugin::convert::Values;
use crate::plugin::roles::{Group, PartitionerGuest};
use crate::snapshot::Endpoint;

impl PolicyOnTrial {
    /// Tells it endpoints, at slots of any size, and as of any generation.
    pub fn divide(&self, generation: u64, endpoints: &[Endpoint]) -> Result<Vec<Group>, String> {
        self.ask("endpoints", |partitioner: &PartitionerGuest, store, policy| {
            partitioner.divide_these(store, policy, generation, endpoints)
        })
    }

    pub fn choose(&self, values: &Values, key: Option<u64>, attempt: u32) -> Result<Option<u32>, String> {
        self.ask("choose", |partitioner: &PartitionerGuest, store, policy| {
            partitioner.choose(store, policy, values, key, attempt)
        })
    }
}
