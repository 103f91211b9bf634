use plimsoll_conformance::{self as suite, Values};

use super::endpoints::{text, uncounted};
use super::policy::UnderTest;

/// What a partitioner wants to see of requests.
pub(super) struct Partitioner(pub(super) Vec<suite::Attribute>);

impl suite::Partitioner for UnderTest<Partitioner> {
    fn attributes(&self) -> Vec<suite::Attribute> {
        self.role.0.clone()
    }

    fn divide(&mut self, generation: u64, endpoints: &[suite::Endpoint]) -> Result<Vec<suite::Group>, String> {
        let groups = self.trial.divide(generation, &uncounted(endpoints)).map_err(text)?;
        Ok(groups.into_iter().map(|group| suite::Group { name: group.name, slots: group.slots }).collect())
    }

    fn choose(&mut self, values: &Values, key: Option<u64>, attempt: u32) -> Result<Option<u32>, String> {
        self.trial.choose(&values.0, key, attempt).map_err(text)
    }
}
