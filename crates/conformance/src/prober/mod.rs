//! Probers: what holds for each is in [`sound`], what holds for those that are handed bytes in [`bytes`], and what they
//! may not say in [`secrets`]. [`talk`] has the peers that they are tried with.

mod bytes;
mod policy;
mod secrets;
mod sound;
mod talk;

pub use policy::{ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Prober, Target, Transport};

use crate::profile::Shown;
use crate::trial::Property;
use crate::{Profile, Subject};
use policy::prober_of;
use talk::{Session, target};

pub(crate) fn properties() -> [&'static [Property]; 3] {
    [bytes::PROPERTIES, sound::PROPERTIES, secrets::PROPERTIES]
}

/// Whether a prober is of a profile, and by what that shows.
pub(crate) fn shows(profile: Profile, subject: &dyn Subject, config: &str) -> Result<Shown, String> {
    if profile != Profile::ServerFirst {
        return Ok((profile.is_of_all(), "not of this role".to_owned()));
    }
    let mut prober = prober_of(subject, config)?;
    if prober.transport() == Transport::Http {
        return Ok((false, "it speaks HTTP, in which clients begin".to_owned()));
    }
    let session = Session::begin(&mut *prober, 1, &target(1))?;
    Ok(match (session.sent.is_empty(), session.verdict.is_none()) {
        (true, true) => (true, "it waited for the peer to speak".to_owned()),
        (false, _) => (false, "it spoke first".to_owned()),
        (true, false) => (false, "it was done before anybody spoke".to_owned()),
    })
}
