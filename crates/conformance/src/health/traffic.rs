use super::ground::Ground;
use super::kinds::{MOST_FAILURES, MOST_MS, is_taken_out_for, settle};
use super::ward::{End, FAILED, GOOD, Ward};
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{OutcomeClass, Profile};

const EJECTING: &[Profile] = &[Profile::Ejecting];

/// What live traffic comes to.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "H5",
        &[Profile::Health],
        "clients that go away, and answers below 500, take no endpoint out and add to nothing",
        blames_nobody_for_clients,
    ),
    Property::thorough(
        "H6",
        EJECTING,
        "ejections that follow each other do not get shorter, have a longest, and after a good time are shorter again",
        ejections_grow_to_a_bound,
    ),
    Property::thorough(
        "H8",
        &[Profile::Rate],
        "a share of failures says nothing as long as there were fewer than 5 attempts",
        needs_a_volume,
    ),
    Property::thorough(
        "H10",
        EJECTING,
        "a clock that jumps back makes an ejection no more than one as long longer",
        survives_a_clock_that_jumps_back,
    ),
];

/// What the client, or what it asked for, is the reason of.
const HARMLESS: [End; 6] = [
    (OutcomeClass::ClientAbort, 0),
    (OutcomeClass::ClientAbort, 200),
    (OutcomeClass::Success, 400),
    (OutcomeClass::Success, 404),
    (OutcomeClass::Success, 429),
    (OutcomeClass::Success, 499),
];

fn blames_nobody_for_clients(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 6;
    const SLOT: u32 = 2;
    let ground = Ground::of(trial);
    let mut ward = ground.ward(ENDPOINTS)?;
    if !ward.plan.outcomes {
        return Err(Stop::Skipped("it takes no outcomes".into()));
    }
    settle(&mut ward, SLOT)?;
    let limit = ward.fail_until_out(SLOT, MOST_FAILURES)?;
    let count = (trial.steps / 10).clamp(100, 1000);
    let ends: Vec<End> = HARMLESS.to_vec();
    trial.try_list(ends, |_, ends| {
        // At first on a clean slate, then with as many failures as are not enough, which these are not to add to.
        for failures in [0, limit.unwrap_or(1) - 1] {
            let mut ward = ground.ward(ENDPOINTS)?;
            settle(&mut ward, SLOT)?;
            for end in ends {
                ward.traffic(SLOT, FAILED, failures)?;
                for _ in 0..10 {
                    ward.traffic(SLOT, *end, count / 10)?;
                    ward.pass(10_000)?;
                    if ward.is_out(SLOT) {
                        return Err(format!("after {failures} failures, {end:?} took the endpoint out"));
                    }
                }
                // One good answer, so that the failures of the next round are not the next in a row.
                ward.traffic(SLOT, GOOD, 1)?;
            }
        }
        Ok(())
    })
}

/// Ejections that are waited for until they do not grow any more.
const EJECTIONS: usize = 64;

fn ejections_grow_to_a_bound(trial: &mut Trial<'_>) -> Checked {
    const SLOT: u32 = 1;
    const GOOD_MS: u64 = 4 * 3600 * 1000;
    let ground = Ground::of(trial);
    let mut ward = ground.ward(9)?;
    settle(&mut ward, SLOT)?;
    let step_ms = ward.step_ms();
    let mut lasted: Vec<u64> = Vec::new();
    loop {
        let now_ms = eject(&mut ward, SLOT)?;
        if let Some(before_ms) = lasted.last()
            && now_ms + step_ms < *before_ms
        {
            return Err(
                format!("ejection {} lasted {now_ms} ms, the one before {before_ms} ms", lasted.len() + 1).into()
            );
        }
        lasted.push(now_ms);
        let has_a_bound = lasted.len() > 3 && lasted[lasted.len() - 3] + step_ms >= now_ms;
        if has_a_bound {
            break;
        }
        if lasted.len() == EJECTIONS {
            return Err(
                format!("ejection {EJECTIONS} lasted {now_ms} ms, and each was longer than those before").into()
            );
        }
    }
    let (first, longest) = (lasted[0], lasted[lasted.len() - 1]);
    trial.measure("first in seconds", first as f64 / 1000.0);
    trial.measure("longest in seconds", longest as f64 / 1000.0);
    if longest <= first + step_ms {
        return Ok(());
    }
    let until_ms = ward.now_ms + GOOD_MS;
    while ward.now_ms < until_ms {
        ward.probe(SLOT, true)?;
        ward.traffic(SLOT, GOOD, 20)?;
        ward.pass(5000)?;
    }
    let after_ms = eject(&mut ward, SLOT)?;
    trial.measure("after 4 good hours", after_ms as f64 / 1000.0);
    if after_ms + step_ms >= longest {
        return Err(format!("after 4 good hours an ejection lasted {after_ms} ms, as long as the longest").into());
    }
    Ok(())
}

/// Lets attempts fail until the endpoint is out; answers how long it was.
fn eject(ward: &mut Ward, slot: u32) -> Result<u64, String> {
    if ward.fail_until_out(slot, MOST_FAILURES)?.is_none() {
        return Err(format!("{MOST_FAILURES} failed attempts did not take it out"));
    }
    let lasted = ward.pass_until_back(slot, MOST_MS)?;
    lasted.ok_or_else(|| format!("it was not back within {} hours", MOST_MS / 3_600_000))
}

fn needs_a_volume(trial: &mut Trial<'_>) -> Checked {
    const FEWEST: u32 = 5;
    let ground = Ground::of(trial);
    let mut attempts = 2;
    while attempts <= 4096 {
        if is_taken_out_for(&ground, 2, attempts)? {
            trial.measure("attempts that say something", attempts.into());
            if attempts < FEWEST {
                return Err(
                    format!("{} of {attempts} attempts failed, and the endpoint was taken out", attempts / 2).into()
                );
            }
            return Ok(());
        }
        attempts *= 2;
    }
    Err("half of 4096 attempts failed, and the endpoint stayed".to_owned().into())
}

fn survives_a_clock_that_jumps_back(trial: &mut Trial<'_>) -> Checked {
    const SLOT: u32 = 3;
    const HOUR_MS: u64 = 3_600_000;
    let ground = Ground::of(trial);
    let ward = || -> Result<Ward, String> {
        let mut ward = ground.ward(10)?;
        settle(&mut ward, SLOT)?;
        Ok(ward)
    };
    let usual_ms = eject(&mut ward()?, SLOT)?;
    let mut ward = ward()?;
    if ward.fail_until_out(SLOT, MOST_FAILURES)?.is_none() {
        return Err(format!("{MOST_FAILURES} failed attempts did not take it out").into());
    }
    ward.pass(usual_ms / 2)?;
    ward.now_ms -= HOUR_MS;
    let bound_ms = 2 * usual_ms + 2 * ward.step_ms();
    let lasted = ward.pass_until_back(SLOT, bound_ms)?;
    trial.measure("usual in seconds", usual_ms as f64 / 1000.0);
    match lasted {
        Some(ms) => {
            trial.measure("after a jump of an hour", (usual_ms / 2 + ms) as f64 / 1000.0);
            Ok(())
        }
        None => Err(format!(
            "an ejection of {usual_ms} ms was not over {bound_ms} ms after the clock had jumped back by an hour"
        )
        .into()),
    }
}
