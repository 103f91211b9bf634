use super::ground::Ground;
use super::ward::{Event, random_events, random_probes, verdicts};
use crate::trial::{Checked, Property, Trial};
use crate::{Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Health];

/// Whose results count for whom.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "H11",
        ALL,
        "another endpoint in a slot begins as any new one: what was held against the former is not held against it",
        begins_afresh,
    ),
    Property::quick("H12", ALL, "what happens to one endpoint changes nothing for the others", judges_each_by_its_own),
];

fn events_of(trial: &mut Trial<'_>, endpoints: u32, count: u32) -> Vec<Event> {
    // Who goes by rates compares endpoints; and what is not known of a plugin is not asked of it.
    if trial.takes(Profile::Ejecting) && !trial.takes(Profile::Rate) {
        random_events(&mut trial.random, endpoints, count)
    } else {
        random_probes(&mut trial.random, endpoints, count)
    }
}

fn begins_afresh(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 11;
    let ground = Ground::of(trial);
    let count = (trial.steps / 40).max(60);
    let former = events_of(trial, 1, count);
    let after = events_of(trial, 1, count / 2);
    trial.measure("events", (former.len() + after.len()) as f64);
    let stranger = || {
        let mut endpoints = Endpoint::several(ENDPOINTS);
        endpoints[0] = Endpoint::named(0, 177);
        endpoints
    };
    trial.try_list(former, |_, former| {
        let mut ward = ground.ward(ENDPOINTS)?;
        for event in former {
            ward.take(*event)?;
        }
        ward.tell(&stranger())?;
        let mut new = ground.ward_of(stranger())?;
        new.now_ms = ward.now_ms;
        for (number, event) in after.iter().enumerate() {
            let (here, there) = (verdicts(&ward.take(*event)?), verdicts(&new.take(*event)?));
            if here != there {
                return Err(format!(
                    "event {number} after the new endpoint came, {event:?}: {here:?} where another was before, {there:?} without"
                ));
            }
        }
        Ok(())
    })
}

fn judges_each_by_its_own(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 12;
    /// Whose verdicts are compared.
    const ONE: u32 = 5;
    let ground = Ground::of(trial);
    let count = (trial.steps / 20).max(200);
    let mut events = events_of(trial, ENDPOINTS, count);
    // More of the one than chance gives.
    for event in events.iter_mut().step_by(3) {
        if let Event::Probe { slot, .. } | Event::Traffic { slot, .. } = event {
            *slot = ONE;
        }
    }
    trial.measure("events", events.len() as f64);
    trial.try_list(events, |_, events| {
        let (mut together, mut alone) = (ground.ward(ENDPOINTS)?, ground.ward(ENDPOINTS)?);
        for (number, event) in events.iter().enumerate() {
            let of_one = |verdicts: Vec<(u32, bool)>| -> Vec<(u32, bool)> {
                verdicts.into_iter().filter(|(slot, _)| *slot == ONE).collect()
            };
            let concerns_it = match event {
                Event::Probe { slot, .. } | Event::Traffic { slot, .. } => *slot == ONE,
                Event::Pass { .. } => true,
            };
            let here = of_one(verdicts(&together.take(*event)?));
            let there = if concerns_it { of_one(verdicts(&alone.take(*event)?)) } else { Vec::new() };
            if here != there {
                return Err(format!(
                    "event {number}, {event:?}: {here:?} with those of other endpoints, {there:?} without"
                ));
            }
        }
        Ok(())
    })
}
