use super::ground::Ground;
use super::kinds::{MOST, MOST_MS, settle, thresholds};
use super::ward::{Event, GOOD, Ward, random_events, random_probes};
use crate::trial::{Checked, Property, Trial};
use crate::{Outcome, OutcomeClass, Profile};

const ALL: &[Profile] = &[Profile::Health];

/// What results in a row come to.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "H1",
        &[Profile::Thresholds],
        "an endpoint goes exactly at so many bad probes in a row, and is back exactly at so many good ones",
        counts_exactly,
    ),
    Property::thorough("H2", ALL, "a probe that passes instead of failing never makes anything worse", is_monotone),
    Property::quick(
        "H3",
        ALL,
        "a verdict is a changed opinion: never the same twice in a row, and one for a probe at the most",
        changes_its_mind_or_is_silent,
    ),
    Property::quick(
        "H4",
        ALL,
        "what says nothing about an endpoint changes nothing: time, empty batches, strangers' results",
        stays_where_nothing_is_said,
    ),
    Property::quick(
        "H9",
        ALL,
        "whatever has happened, an endpoint that is well from then on is back within hours",
        always_comes_back,
    ),
];

fn counts_exactly(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::of(trial);
    let Some(known) = thresholds(&ground)? else {
        return Err(format!(
            "up to {MOST} probes in a row did not take an endpoint out and bring it back, twice alike"
        )
        .into());
    };
    trial.measure("rise", known.rise.into());
    trial.measure("fall", known.fall.into());
    let longest = known.rise.max(known.fall) + 1;
    let mut results = Vec::new();
    for run in 0..(trial.steps / 40).max(50) {
        results.extend((0..trial.random.u32(1..=longest)).map(|_| run % 2 == 1));
    }
    trial.measure("probes", results.len() as f64);
    trial.try_list(results, |_, results| {
        let mut ward = ground.ward(2)?;
        settle(&mut ward, 1)?;
        let (mut is_out, mut in_a_row) = (false, 0);
        for (number, passed) in results.iter().enumerate() {
            ward.probe(1, *passed)?;
            in_a_row = if *passed == is_out { in_a_row + 1 } else { 0 };
            if in_a_row == if is_out { known.rise } else { known.fall } {
                (is_out, in_a_row) = (!is_out, 0);
            }
            if ward.is_out(1) != is_out {
                let now = if is_out { "in, and should be out" } else { "out, and should be in" };
                return Err(format!(
                    "with rise {} and fall {} it is {now} after probe {number}",
                    known.rise, known.fall
                ));
            }
        }
        Ok(())
    })
}

/// A result, and whether it is the one that is better in the other history.
type Marked = (bool, bool);

fn is_monotone(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::of(trial);
    let rounds = (trial.steps / 400).clamp(10, 100);
    trial.measure("pairs of histories", rounds.into());
    for _ in 0..rounds {
        let mut results: Vec<Marked> = (0..60).map(|_| (trial.random.u8(..5) > 2, false)).collect();
        let Some(marked) = results.iter().position(|(passed, _)| !passed) else { continue };
        let marked = marked + trial.random.usize(..results.len() - marked);
        results[marked] = (false, true);
        trial.try_list(results, |_, results| {
            let (mut worse, mut better) = (ground.ward(5)?, ground.ward(5)?);
            settle(&mut worse, 4)?;
            settle(&mut better, 4)?;
            for (number, (passed, is_marked)) in results.iter().enumerate() {
                worse.probe(4, *passed)?;
                better.probe(4, *passed || *is_marked)?;
                if better.is_out(4) && !worse.is_out(4) {
                    return Err(format!("it is out after probe {number}, and in if a probe before failed that passed"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn changes_its_mind_or_is_silent(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 4;
    let ground = Ground::of(trial);
    let events = random_probes(&mut trial.random, ENDPOINTS, (trial.steps / 10).max(200));
    trial.measure("probes", events.len() as f64);
    trial.try_list(events, |_, events| {
        let mut ward = ground.ward(ENDPOINTS)?;
        let mut last = [None; ENDPOINTS as usize];
        for event in events {
            let transitions = ward.take(*event)?;
            if transitions.len() > 1 {
                return Err(format!("{event:?} led to {} verdicts", transitions.len()));
            }
            for transition in &transitions {
                let Some(last) = last.get_mut(transition.slot as usize) else { continue };
                if *last == Some(transition.is_healthy()) {
                    return Err(format!("{event:?} led to {transition:?}, which it was by the verdict before"));
                }
                *last = Some(transition.is_healthy());
            }
        }
        Ok(())
    })
}

fn stays_where_nothing_is_said(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 8;
    const HOUR_MS: u64 = 3_600_000;
    let ground = Ground::of(trial);
    let mut ward = ground.ward(ENDPOINTS)?;
    for slot in 0..ENDPOINTS {
        settle(&mut ward, slot)?;
    }
    for slot in 0..ENDPOINTS / 2 {
        ward.probe_until_it_changes(slot, false, MOST)?;
    }
    let strangers = [ENDPOINTS, 99, u32::MAX];
    let mut said = Vec::new();
    for _ in 0..3 {
        said.extend(ward.batch(&[])?);
        for slot in strangers {
            for class in [OutcomeClass::ConnectFailure, OutcomeClass::Timeout, OutcomeClass::Success] {
                let outcome = Outcome { slot, class, status: 0, first_byte_us: 0, total_us: 0 };
                said.extend(ward.batch(&[outcome; 50])?);
            }
            for number in 0..2 * MOST {
                said.extend(ward.probe(slot, number >= MOST)?);
            }
        }
        said.extend(ward.pass(HOUR_MS)?);
    }
    trial.measure("hours", 3.0);
    match said.first() {
        Some(transition) => {
            Err(format!("of {ENDPOINTS} endpoints, {} out by probes: {transition:?}", ENDPOINTS / 2).into())
        }
        None => Ok(()),
    }
}

fn always_comes_back(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 7;
    let ground = Ground::of(trial);
    let events = random_events(&mut trial.random, ENDPOINTS, (trial.steps / 20).max(100));
    trial.measure("events", events.len() as f64);
    let longest_ms = std::cell::Cell::new(0);
    let done = trial.try_list(events, |_, events| {
        let mut ward = ground.ward(ENDPOINTS)?;
        for event in events {
            ward.take(*event)?;
        }
        longest_ms.set(longest_ms.get().max(recover(&mut ward, ENDPOINTS)?));
        Ok(())
    });
    trial.measure("seconds until all were back", longest_ms.get() as f64 / 1000.0);
    done
}

/// From now on every probe passes, and so does every attempt, of which only who is in gets any.
fn recover(ward: &mut Ward, endpoints: u32) -> Result<u64, String> {
    const PROBES_EVERY_MS: u64 = 5000;
    let began_ms = ward.now_ms;
    while ward.now_ms - began_ms < MOST_MS {
        for slot in 0..endpoints {
            ward.probe(slot, true)?;
            if !ward.is_out(slot) {
                ward.take(Event::Traffic { slot, end: GOOD, count: 10 })?;
            }
        }
        if ward.out.is_empty() {
            return Ok(ward.now_ms - began_ms);
        }
        ward.pass(PROBES_EVERY_MS)?;
    }
    Err(format!("after two hours of good probes {:?} of {endpoints} endpoints are out", ward.out))
}
