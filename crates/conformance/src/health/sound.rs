use std::time::Duration;

use super::ground::Ground;
use super::ward::{Event, FAILED, Ward, random_events, random_probes, verdicts};
use crate::foreign::foreign_states;
use crate::memory::PAGE;
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Endpoint, Outcome, OutcomeClass, ProbeResult, Profile, Transition};

const ALL: &[Profile] = &[Profile::Health];

/// What holds for policies of any role, for those that judge endpoints.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough("G5h", ALL, "memory does not grow with the number of results", memory_stays),
    Property::thorough("G7h", ALL, "the same results give the same verdicts", is_repeatable),
    Property::quick(
        "G8h",
        ALL,
        "saved state of evaluators can be restored, and what is foreign or cut off is refused or ignored",
        restores_or_refuses,
    ),
    Property::quick(
        "G9h",
        ALL,
        "results before the first endpoints are answered with no verdict",
        answers_before_endpoints,
    ),
    Property::quick(
        "G10h",
        ALL,
        "extreme values are answered, and only with verdicts about endpoints that are there",
        survives_extremes,
    ),
    Property::thorough(
        "G11h",
        ALL,
        "an evaluator that is destroyed and created again from the same configuration judges as one that is new",
        can_be_created_again,
    ),
    Property::quick("G12h", ALL, "two evaluators of one instance know nothing of each other", are_apart),
];

fn memory_stays(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 20;
    let ground = Ground::of(trial);
    let events = random_events(&mut trial.random, ENDPOINTS, 500);
    let mut ward = ground.ward(ENDPOINTS)?;
    // It may take a while to find a size that it stays at; who leaks grows in every stage.
    let first = (trial.steps / 1000).max(4);
    let mut sizes = Vec::new();
    let mut rounds = 0;
    for stage in [1, 1, 2, 4, 8] {
        for _ in 0..stage * first {
            for event in &events {
                // Time passes in one step: ticks are not what is asked about here.
                if let Event::Pass { ms } = event {
                    ward.now_ms += ms;
                    ward.tick()?;
                } else {
                    ward.take(*event)?;
                }
            }
            ward.health.save()?;
        }
        rounds += stage * first;
        let Some(bytes) = ward.health.memory_bytes() else {
            return Err(Stop::Skipped("the size of its memory is not known".into()));
        };
        let is_flat = sizes.last().is_some_and(|before| bytes <= before + PAGE);
        sizes.push(bytes);
        if is_flat {
            trial.measure("calls", f64::from(rounds) * events.len() as f64);
            trial.measure("bytes", bytes as f64);
            return Ok(());
        }
    }
    Err(format!("it grew at each look, in {rounds} rounds: {sizes:?} bytes").into())
}

fn is_repeatable(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 13;
    let ground = Ground::of(trial);
    let events = random_events(&mut trial.random, ENDPOINTS, (trial.steps / 20).max(100));
    trial.try_list(events, |_, events| {
        let (one, other) = (played(ground.ward(ENDPOINTS)?, events)?, played(ground.ward(ENDPOINTS)?, events)?);
        match one.iter().zip(&other).position(|(one, other)| one != other) {
            Some(at) => Err(format!("event {at}: {:?} the first time, {:?} the second", one[at], other[at])),
            None => Ok(()),
        }
    })
}

fn played(mut ward: Ward, events: &[Event]) -> Result<Vec<Vec<(u32, bool)>>, String> {
    events.iter().map(|event| ward.take(*event).map(|transitions| verdicts(&transitions))).collect()
}

fn restores_or_refuses(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 14;
    let ground = Ground::of(trial);
    let events = random_events(&mut trial.random, ENDPOINTS, 100);
    let mut saving = ground.ward(ENDPOINTS)?;
    for event in &events {
        saving.take(*event)?;
    }
    let state = saving.health.save().map_err(|fault| format!("saving: {fault}"))?;
    trial.measure("bytes", state.len() as f64);
    let states = std::iter::once(state.clone()).chain(foreign_states(&mut trial.random, &state));
    for state in states.collect::<Vec<_>>() {
        trial.try_list(state, |_, state| {
            let mut ward = ground.ward(ENDPOINTS)?;
            ward.health.restore(state).map_err(|fault| format!("restoring: {fault}"))?;
            for event in events.iter().take(40) {
                let transitions = ward.take(*event).map_err(|fault| format!("with it, {event:?}: {fault}"))?;
                if let Some(stranger) = transitions.iter().find(|t| t.slot >= ENDPOINTS) {
                    return Err(format!("with it, of {ENDPOINTS} endpoints: {stranger:?}"));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn answers_before_endpoints(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::of(trial);
    // Once with an empty set told, and once with nothing told at all.
    for create_again in [false, true] {
        let mut ward = ground.ward(0)?;
        if create_again {
            ward.health.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
        }
        let mut said = Vec::new();
        for _ in 0..20 {
            for passed in [false, true] {
                said.extend(ward.probe(3, passed)?);
            }
            said.extend(ward.traffic(3, FAILED, 100)?);
            said.extend(ward.pass(1000)?);
        }
        ward.health.save()?;
        if let Some(transition) = said.first() {
            return Err(format!("of no endpoints: {transition:?}").into());
        }
    }
    Ok(())
}

/// A call of values that nobody will ever mean.
#[derive(Clone, Debug)]
enum Extreme {
    Endpoints { generation: u64, endpoints: Vec<Endpoint> },
    Outcomes { now_ms: u64, batch: Vec<Outcome> },
    Probe { now_ms: u64, probe: ProbeResult },
    Tick { now_ms: u64 },
}

const SLOTS: [u32; 6] = [0, 1, 63, 65_536, u32::MAX - 1, u32::MAX];
const TIMES: [u64; 6] = [0, 1, 3_600_000, 1 << 40, u64::MAX - 1, u64::MAX];

fn survives_extremes(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::of(trial);
    let calls: Vec<Extreme> = (0..(trial.steps / 20).clamp(60, 600)).map(|_| extreme(&mut trial.random)).collect();
    trial.measure("calls", calls.len() as f64);
    trial.try_list(calls, |_, calls| {
        let mut ward = ground.ward(0)?;
        let mut known: &[Endpoint] = &[];
        for call in calls {
            let done: Result<Vec<Transition>, String> = match call {
                Extreme::Endpoints { generation, endpoints } => {
                    known = endpoints;
                    ward.health.replace_endpoints(*generation, endpoints).map(|()| Vec::new())
                }
                Extreme::Outcomes { now_ms, batch } => ward.health.outcomes(*now_ms, batch),
                Extreme::Probe { now_ms, probe } => ward.health.probed(*now_ms, probe),
                Extreme::Tick { now_ms } => ward.health.tick(*now_ms),
            };
            let said = done.map_err(|fault| format!("{call:?}: {fault}"))?;
            if let Some(stranger) = said.iter().find(|t| known.iter().all(|endpoint| endpoint.slot != t.slot)) {
                return Err(format!("{call:?} led to {stranger:?} of {known:?}"));
            }
        }
        Ok(())
    })
}

fn extreme(random: &mut fastrand::Rng) -> Extreme {
    let slot = SLOTS[random.usize(..SLOTS.len())];
    let now_ms = TIMES[random.usize(..TIMES.len())];
    match random.u8(..6) {
        0 => Extreme::Tick { now_ms },
        1 => {
            let endpoints = SLOTS.iter().filter(|_| random.bool()).map(|slot| Endpoint::named(*slot, slot % 1000));
            Extreme::Endpoints { endpoints: endpoints.collect(), generation: TIMES[random.usize(..TIMES.len())] }
        }
        2 | 3 => {
            let classes = [
                OutcomeClass::Success,
                OutcomeClass::ServerError,
                OutcomeClass::ConnectFailure,
                OutcomeClass::Timeout,
                OutcomeClass::Reset,
                OutcomeClass::ClientAbort,
            ];
            let one = |random: &mut fastrand::Rng| Outcome {
                slot: SLOTS[random.usize(..SLOTS.len())],
                class: classes[random.usize(..classes.len())],
                status: random.u16(..),
                first_byte_us: [0, 1, u32::MAX][random.usize(..3)],
                total_us: [0, 1, u32::MAX][random.usize(..3)],
            };
            let count = [0, 1, 10, 1024][random.usize(..4)];
            Extreme::Outcomes { now_ms, batch: (0..count).map(|_| one(random)).collect() }
        }
        _ => {
            let detail = ["", "\u{0}", "a\r\nb", "ä"][random.usize(..4)].repeat(random.usize(..600));
            let took = Duration::from_micros([0, u32::MAX.into()][random.usize(..2)]);
            Extreme::Probe { now_ms, probe: ProbeResult { slot, passed: random.bool(), took, detail } }
        }
    }
}

fn can_be_created_again(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 15;
    let ground = Ground::of(trial);
    let before = random_events(&mut trial.random, ENDPOINTS, 200);
    let after = random_events(&mut trial.random, ENDPOINTS, 100);
    trial.try_list(before, |_, before| {
        let mut old = ground.ward(ENDPOINTS)?;
        for event in before {
            old.take(*event)?;
        }
        old.health.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
        old.tell(&Endpoint::several(ENDPOINTS))?;
        let mut new = ground.ward(ENDPOINTS)?;
        new.now_ms = old.now_ms;
        let (here, there) = (played(old, &after)?, played(new, &after)?);
        match here.iter().zip(&there).position(|(here, there)| here != there) {
            Some(at) => Err(format!("event {at} after it: {:?}, in a new policy {:?}", here[at], there[at])),
            None => Ok(()),
        }
    })
}

fn are_apart(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 6;
    let ground = Ground::of(trial);
    let count = (trial.steps / 20).max(100);
    let events = random_probes(&mut trial.random, ENDPOINTS, count);
    trial.try_list(events, |_, events| {
        let mut two = ground.several(2)?;
        let (Some(there), Some(here)) = (two.pop(), two.pop()) else {
            return Err("creating two policies: there are not two".into());
        };
        let mut here = Ward::new(here, Endpoint::several(ENDPOINTS))?;
        let mut there = Ward::new(there, Endpoint::several(ENDPOINTS))?;
        let mut alone = ground.ward(ENDPOINTS)?;
        for (number, event) in events.iter().enumerate() {
            // All is well at the other, and then all is bad.
            there.take(Event::Probe { slot: number as u32 % ENDPOINTS, passed: number % 40 < 20 })?;
            let (beside, without) = (verdicts(&here.take(*event)?), verdicts(&alone.take(*event)?));
            if beside != without {
                return Err(format!(
                    "event {number}, {event:?}: {beside:?} beside another policy, {without:?} without"
                ));
            }
        }
        Ok(())
    })
}
