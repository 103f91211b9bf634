use super::ground::Ground;
use super::ward::{FAILED, GOOD, Ward};
use crate::profile::Shown;
use crate::{Outcome, Profile, Subject};

/// Whether an evaluator behaves as one of a profile does, in a small way; and by what that shows.
pub(crate) fn shows(profile: Profile, subject: &dyn Subject, config: &str) -> Result<Shown, String> {
    let ground = Ground { subject, config };
    let (shown, yes, no) = match profile {
        Profile::Thresholds => (
            thresholds(&ground)?.is_some(),
            "as many bad probes took an endpoint out each time, and as many good ones brought it back",
            "probes in a row did not take an endpoint out and bring it back, or not twice alike",
        ),
        Profile::Ejecting => (
            is_ejecting(&ground)?,
            "failed attempts took an endpoint out, and time brought it back",
            "failed attempts took no endpoint out, or time did not bring it back",
        ),
        Profile::Rate => (
            is_about_rates(&ground)?,
            "an endpoint that failed every second attempt was taken out, one that failed a few was not",
            "an endpoint that failed every second attempt stayed, or one that failed a few did not",
        ),
        other => return Ok((other.is_of_all(), "not of this role".to_owned())),
    };
    Ok((shown, if shown { yes } else { no }.to_owned()))
}

/// Most results in a row that are waited for.
pub(super) const MOST: u32 = 100;
pub(super) const MOST_FAILURES: u32 = 1000;
pub(super) const MOST_MS: u64 = 2 * 3600 * 1000;

/// Good probes in a row that bring an endpoint back, and bad ones that take it out; if that is what it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thresholds {
    pub(super) rise: u32,
    pub(super) fall: u32,
}

pub(super) fn thresholds(ground: &Ground<'_>) -> Result<Option<Thresholds>, String> {
    let mut ward = ground.ward(3)?;
    settle(&mut ward, 0)?;
    let mut round = || -> Result<Option<Thresholds>, String> {
        let fall = ward.probe_until_it_changes(0, false, MOST)?;
        let rise = ward.probe_until_it_changes(0, true, MOST)?;
        Ok(fall.zip(rise).map(|(fall, rise)| Thresholds { rise, fall }))
    };
    let (first, second) = (round()?, round()?);
    Ok(first.filter(|_| first == second))
}

/// Lets an endpoint prove itself, whatever it needs for that.
pub(super) fn settle(ward: &mut Ward, slot: u32) -> Result<(), String> {
    for _ in 0..ward.plan.initial_probes + MOST {
        ward.probe(slot, true)?;
    }
    Ok(())
}

fn is_ejecting(ground: &Ground<'_>) -> Result<bool, String> {
    let mut ward = ground.ward(3)?;
    settle(&mut ward, 0)?;
    Ok(ward.fail_until_out(0, MOST_FAILURES)?.is_some() && ward.pass_until_back(0, MOST_MS)?.is_some())
}

/// Attempts of each endpoint in a second.
const PER_SECOND: u32 = 40;

fn is_about_rates(ground: &Ground<'_>) -> Result<bool, String> {
    Ok(is_taken_out_for(ground, 2, 30 * PER_SECOND)? && !is_taken_out_for(ground, 20, 30 * PER_SECOND)?)
}

/// Whether an endpoint is taken out that fails one of so many attempts, while others fail none.
pub(super) fn is_taken_out_for(ground: &Ground<'_>, one_of: u32, attempts: u32) -> Result<bool, String> {
    let mut ward = ground.ward(7)?;
    for slot in 0..7 {
        settle(&mut ward, slot)?;
    }
    let of_second: Vec<u32> = (0..attempts).collect();
    for second in of_second.chunks(PER_SECOND as usize) {
        let mut batch = Vec::new();
        for number in second {
            for slot in 0..7 {
                let (class, status) = if slot == 3 && (number + 1) % one_of == 0 { FAILED } else { GOOD };
                batch.push(Outcome { slot, class, status, first_byte_us: 1000, total_us: 2000 });
            }
        }
        ward.batch(&batch)?;
        ward.pass(1000)?;
        if ward.is_out(3) {
            return Ok(true);
        }
    }
    // Some look back at the end of an interval.
    ward.pass(60_000)?;
    Ok(ward.is_out(3))
}
