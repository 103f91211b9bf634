use crate::request::{Attribute, Values};
use crate::trial::{Trial, Use, only};
use crate::{Endpoint, Policy};

/// A partitioner under test.
pub trait Partitioner: Policy {
    fn attributes(&self) -> Vec<Attribute>;

    /// Tells it the endpoints of a generation, whole. Answers how it divides them.
    fn divide(&mut self, generation: u64, endpoints: &[Endpoint]) -> Result<Vec<Group>, String>;

    /// Asks for a group by its place among those that it gave last. `attempt` counts from 1.
    fn choose(&mut self, values: &Values, key: Option<u64>, attempt: u32) -> Result<Option<u32>, String>;
}

/// Some endpoints of a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub slots: Vec<u32>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {:?}", self.name, self.slots)
    }
}

pub(super) fn partitioner(trial: &Trial<'_>, worker: u32) -> Result<Box<dyn Partitioner>, String> {
    only(trial.subject.partitioners(Use::config(trial.uses, "partitioner"), worker, 1))
}
