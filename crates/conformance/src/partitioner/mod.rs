//! Partitioners: what every one must keep is in [`division`], what those of known kinds must in [`kinds`].

mod division;
mod kinds;
mod zoo;

use crate::profile::Shown;
use crate::request::{Attribute, Values};
use crate::trial::{Property, Trial, Use, only};
use crate::{Endpoint, Policy, Profile, Subject};

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

pub(crate) fn properties() -> [&'static [Property]; 2] {
    [division::PROPERTIES, kinds::PROPERTIES]
}

/// Whether a partitioner is of a profile, and by what that shows.
pub(crate) fn shows(profile: Profile, subject: &dyn Subject, config: &str) -> Result<Shown, String> {
    match profile {
        Profile::Locality => kinds::keeps_to_zones(subject, config),
        Profile::Priority => kinds::keeps_to_levels(subject, config),
        other => Ok((other.is_of_all(), "not of this role".to_owned())),
    }
}

fn partitioner(trial: &Trial<'_>, worker: u32) -> Result<Box<dyn Partitioner>, String> {
    only(trial.subject.partitioners(Use::config(trial.uses, "partitioner"), worker, 1))
}
