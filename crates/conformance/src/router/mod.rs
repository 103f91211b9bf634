//! Routers: what every one must keep is in [`sound`], what those of a known configuration must in [`gateway`].

mod deadline;
mod gateway;
mod policy;
mod sound;
mod table;

pub use policy::{Action, Decision, Router, RouterPlan};

use crate::profile::Shown;
use crate::trial::Property;
use crate::{Profile, Subject};

pub(crate) fn properties() -> [&'static [Property]; 2] {
    [sound::PROPERTIES, gateway::PROPERTIES]
}

/// Whether a router is of a profile, and by what that shows.
pub(crate) fn shows(profile: Profile, subject: &dyn Subject) -> Result<Shown, String> {
    match profile {
        Profile::Gateway => gateway::shows(subject),
        other => Ok((other.is_of_all(), "not of this role".to_owned())),
    }
}
