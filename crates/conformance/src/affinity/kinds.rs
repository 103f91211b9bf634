use super::ground::Ground;
use super::known::is_known_to;
use super::lasting::{self, Ending};
use crate::profile::Shown;
use crate::{Endpoint, Profile, Subject};

/// Whether an affinity behaves as one of a profile does, in a small way; and by what that shows.
pub(crate) fn shows(profile: Profile, subject: &dyn Subject, config: &str) -> Result<Shown, String> {
    let ground = Ground::new(subject, config)?;
    if ground.way.is_none() {
        return Ok((false, "it knew no client of the suite's again".into()));
    }
    let (shown, yes, no) = match profile {
        Profile::Token => (
            is_known_to(&ground, 0)?,
            "another proxy of the same secret knew a client",
            "another proxy of the same secret did not know a client",
        ),
        Profile::Opaque => (
            is_known_to(&ground, 0)? && !is_known_to(&ground, 1)?,
            "another proxy knew a client if it had the same secret, and only then",
            "another proxy did not know a client, or did so with another secret",
        ),
        Profile::Table => (
            !is_known_to(&ground, 0)? && is_known_to_another_worker(&ground)?,
            "another worker knew a client, another proxy did not",
            "another proxy knew a client, or another worker did not",
        ),
        Profile::Dated => (
            lasting::ending(&ground)? != Ending::Never,
            "a client that paused was not known any more",
            "a client that paused for 49 days was still known",
        ),
        other => return Ok((other.is_of_all(), "not of this role".to_owned())),
    };
    Ok((shown, if shown { yes } else { no }.to_owned()))
}

fn is_known_to_another_worker(ground: &Ground<'_>) -> Result<bool, String> {
    let mut here = ground.site(Endpoint::several(4))?;
    let client = ground.bound(&mut here, &[2])?.remove(0);
    Ok(here.another()?.find(&client)?.slot() == Some(2))
}
