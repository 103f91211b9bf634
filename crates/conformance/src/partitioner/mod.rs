//! Partitioners: what every one must keep is in [`division`], what those of known kinds must in [`kinds`].

mod division;
mod kinds;
mod policy;
mod zoo;

pub use policy::{Group, Partitioner};

use crate::profile::Shown;
use crate::trial::Property;
use crate::{Profile, Subject};

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
