use super::{PolicyOnTrial, no_such_role};
use crate::plugin::convert::{self, Values};
use crate::plugin::fault::Fault;
use crate::plugin::partitioner::Group;
use crate::snapshot::Endpoint;

impl PolicyOnTrial {
    /// Tells it endpoints, at slots of any size, and as of any generation.
    pub fn divide(&self, generation: u64, endpoints: &[Endpoint]) -> Result<Vec<Group>, Fault> {
        let endpoints: Vec<_> = endpoints.iter().map(convert::endpoint).collect();
        let groups = self.call(|live, policy| {
            let Some(partitioner) = &live.partitioner else { return Err(no_such_role()) };
            partitioner.call_endpoints(&mut live.store, policy, generation, &endpoints)
        })?;
        Ok(groups.into_iter().map(|group| Group { name: group.name, slots: group.slots }).collect())
    }

    pub fn choose(&self, values: &Values, key: Option<u64>, attempt: u32) -> Result<Option<u32>, Fault> {
        self.call(|live, policy| {
            let Some(partitioner) = &live.partitioner else { return Err(no_such_role()) };
            partitioner.call_choose(&mut live.store, policy, values, key, attempt)
        })
    }
}
