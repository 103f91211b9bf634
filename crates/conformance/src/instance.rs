use crate::fleet::{Fleet, Step, play, random_steps};
use crate::foreign::foreign_states;
use crate::kinds;
use crate::memory::PAGE;
use crate::shares::{count, is_keyed, map};
use crate::trial::{Checked, Property, Stop, Trial, one_balancer};
use crate::{Availability, Balancer, Endpoint, Outcome, OutcomeClass, Profile};

const ALL: &[Profile] = &[Profile::Balancer];

/// What holds for instances and policies, whatever they decide. Balancers are asked.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough("G5", ALL, "memory does not grow with the number of calls", memory_stays),
    Property::thorough(
        "G6",
        ALL,
        "calls are far from their time limits, with a thousand endpoints and counted in instructions",
        costs_little,
    ),
    Property::thorough("G7", ALL, "the same seed and the same inputs give the same decisions", is_repeatable),
    Property::quick(
        "G8",
        ALL,
        "saved state can be restored, and what is foreign or cut off is refused or ignored",
        restores_or_refuses,
    ),
    Property::quick("G9", ALL, "calls before the first endpoints are answered", answers_before_endpoints),
    Property::quick(
        "G10",
        ALL,
        "extreme values are answered, and only by endpoints that may be chosen",
        survives_extremes,
    ),
    Property::thorough(
        "G11",
        ALL,
        "a policy that is destroyed and created again from the same configuration decides as one that is new",
        can_be_created_again,
    ),
    Property::quick("G12", ALL, "two policies of one instance know nothing of each other", policies_are_apart),
    Property::thorough("G13", ALL, "what it has the host remember does not grow with the number of calls", table_stays),
];

fn memory_stays(trial: &mut Trial<'_>) -> Checked {
    stays(trial, |balancer| balancer.memory_bytes(), "the size of its memory is not known")
}

/// More than that is filling the table, whose oldest entries then give way to new ones.
const MOST_IN_TABLE: u64 = 16 << 20;

fn table_stays(trial: &mut Trial<'_>) -> Checked {
    stays(trial, |balancer| balancer.table_bytes(), "what the host remembers for it is not known")?;
    match trial.measured.iter().find(|(what, _)| *what == "bytes") {
        Some((_, bytes)) if *bytes > MOST_IN_TABLE as f64 => {
            Err(format!("it keeps {bytes} bytes in the table for 20 endpoints and 500 requests").into())
        }
        _ => Ok(()),
    }
}

fn stays(trial: &mut Trial<'_>, size: fn(&dyn Balancer) -> Option<u64>, unknown: &str) -> Checked {
    let steps = random_steps(&mut trial.random, 500);
    let mut balancer = trial.balancer()?;
    let mut fleet = Fleet::new(20);
    if size(&*balancer).is_none() {
        return Err(Stop::Skipped(unknown.into()));
    }
    let mut round = |balancer: &mut dyn Balancer, rounds: u32| -> Result<u64, String> {
        for _ in 0..rounds {
            // The same endpoints each time: only what is left behind adds up.
            let mut fleet = fleet.clone();
            play(balancer, &mut fleet, &steps)?;
            let slots = fleet.endpoints.iter().map(|endpoint| endpoint.slot).take(1024);
            let batch: Vec<Outcome> = slots.map(|slot| outcome(slot, OutcomeClass::Success, 1000)).collect();
            if balancer.wants_outcomes() {
                balancer.outcomes(&batch)?;
            }
            balancer.save()?;
        }
        fleet = Fleet::new(20);
        Ok(size(balancer).unwrap_or(0))
    };
    // It may take a while to find a size that it stays at; who leaks grows in every stage.
    let first = (trial.steps / 500).max(4);
    let mut rounds = first;
    let mut sizes = vec![round(&mut *balancer, first)?];
    for stage in [1, 2, 4, 8] {
        let before = sizes[sizes.len() - 1];
        let after = round(&mut *balancer, stage * first)?;
        rounds += stage * first;
        sizes.push(after);
        if after <= before + PAGE {
            trial.measure("calls", f64::from(rounds * 500));
            trial.measure("bytes", after as f64);
            return Ok(());
        }
    }
    Err(format!("it grew at each look, in {} calls: {sizes:?} bytes", rounds * 500).into())
}

/// What a slow machine executes in a millisecond.
const EACH_MS: u64 = 1_000_000;
/// Of a call that a request waits for, of one that none waits for, and of one that brings endpoints.
const LIMITS_MS: [(&str, u64); 3] = [("picks", 2), ("outcomes", 10), ("changes", 100)];

fn costs_little(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 1000;
    let metered = trial.subject.metered_balancer(trial.config).map_err(|failure| format!("creating it: {failure}"))?;
    let Some(mut balancer) = metered.filter(|balancer| balancer.executed().is_some()) else {
        return Err(Stop::Skipped("what it executes is not counted here".into()));
    };
    let mut most = [0_u64; 3];
    let mut endpoints = Endpoint::several(ENDPOINTS);
    let mut picks = Vec::new();
    for round in 0..8 {
        // One weight changes, one endpoint fails, and one comes back.
        endpoints[round].weight = 7;
        endpoints[10 * round + 100].availability = Availability::Unavailable;
        endpoints[round + 1].availability = Availability::Ready;
        most[2] = most[2].max(cost(&mut *balancer, |balancer| balancer.set_endpoints(&endpoints))?);
        for number in 0..u64::from(trial.steps / 40).max(50) {
            let key = (number % 2 == 0).then(|| trial.random.u64(..));
            picks.push(cost(&mut *balancer, |balancer| balancer.pick(key, &[]).map(drop))?);
        }
        let slots = endpoints.iter().map(|endpoint| endpoint.slot);
        let batch: Vec<Outcome> = slots.map(|slot| outcome(slot, OutcomeClass::Success, 1000 + slot)).collect();
        if balancer.wants_outcomes() {
            most[1] = most[1].max(cost(&mut *balancer, |balancer| balancer.outcomes(&batch))?);
        }
    }
    picks.sort_unstable();
    most[0] = picks.last().copied().unwrap_or(0);
    trial.measure("instructions of a pick, 99 of 100", picks.get(picks.len() * 99 / 100).copied().unwrap_or(0) as f64);
    trial.measure("the most", most[0] as f64);
    trial.measure("the most of a change", most[2] as f64);
    for ((what, limit_ms), most) in LIMITS_MS.into_iter().zip(most) {
        if most > limit_ms * EACH_MS {
            let how =
                format!("{what} take up to {most} instructions with {ENDPOINTS} endpoints, and have {limit_ms} ms");
            return Err(how.into());
        }
    }
    Ok(())
}

/// What a call executes.
fn cost(
    balancer: &mut dyn Balancer,
    call: impl FnOnce(&mut dyn Balancer) -> Result<(), String>,
) -> Result<u64, String> {
    let before = balancer.executed().unwrap_or(0);
    call(balancer)?;
    Ok(balancer.executed().unwrap_or(0).saturating_sub(before))
}

fn outcome(slot: u32, class: OutcomeClass, us: u32) -> Outcome {
    Outcome { slot, class, status: 200, first_byte_us: us, total_us: us }
}

fn is_repeatable(trial: &mut Trial<'_>) -> Checked {
    let steps = random_steps(&mut trial.random, trial.steps / 4);
    trial.try_list(steps, |trial, steps| {
        let traced = || -> Result<Vec<Option<u32>>, String> {
            let mut balancer = trial.balancer()?;
            let mut fleet = Fleet::new(8);
            balancer.set_endpoints(&fleet.endpoints)?;
            (0..8).for_each(|slot| balancer.set_in_flight(slot, slot * 3 % 5));
            balancer.set_now_ms(1000);
            play(&mut *balancer, &mut fleet, steps)
        };
        let (one, other) = (traced()?, traced()?);
        match one.iter().zip(&other).position(|(one, other)| one != other) {
            Some(at) => Err(format!("pick {at}: {:?} the first time, {:?} the second", one[at], other[at])),
            None => Ok(()),
        }
    })
}

fn restores_or_refuses(trial: &mut Trial<'_>) -> Checked {
    let steps = random_steps(&mut trial.random, 200);
    let keys = trial.keys(100);
    let mut fleet = Fleet::new(6);
    let mut saving = trial.balancer()?;
    play(&mut *saving, &mut fleet, &steps)?;
    let state = saving.save().map_err(|fault| format!("saving: {fault}"))?;
    trial.measure("bytes", state.len() as f64);
    let states = std::iter::once(state.clone()).chain(foreign_states(&mut trial.random, &state));
    for (number, state) in states.collect::<Vec<_>>().into_iter().enumerate() {
        let what = if number == 0 { "its own state" } else { "foreign state" };
        // The proxy restores either way: before the endpoints are told, or after.
        for before_endpoints in [true, false] {
            trial.try_list(state.clone(), |trial, state| {
                let mut balancer = trial.balancer()?;
                if !before_endpoints {
                    balancer.set_endpoints(&fleet.endpoints)?;
                }
                balancer.restore(state).map_err(|fault| format!("restoring {what}: {fault}"))?;
                if before_endpoints {
                    balancer.set_endpoints(&fleet.endpoints)?;
                }
                let mut valid = |key| match balancer.pick(key, &[]) {
                    Ok(chosen) => chosen.and_then(|slot| fleet.mistake(slot)).map_or(Ok(()), Err),
                    Err(fault) => Err(fault),
                };
                let picks = keys.iter().take(20).flat_map(|key| [None, Some(*key)]);
                picks.into_iter().try_for_each(&mut valid).map_err(|how| format!("with {what}: {how}"))
            })?;
        }
    }
    if is_keyed(&mut *saving, &keys)? && !kinds::remembers(&|worker| trial.on_worker(worker))? {
        let mut restored = trial.balancer()?;
        restored.set_endpoints(&fleet.endpoints)?;
        restored.restore(&state)?;
        if map(&mut *saving, &keys)? != map(&mut *restored, &keys)? {
            return Err("keys lead elsewhere with the restored state".to_owned().into());
        }
    }
    Ok(())
}

fn answers_before_endpoints(trial: &mut Trial<'_>) -> Checked {
    // Once with an empty set told, and once with nothing told at all.
    for create_again in [false, true] {
        let mut balancer = trial.balancer()?;
        if create_again {
            balancer.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
        }
        for (key, tried) in [(None, &[][..]), (Some(1), &[]), (None, &[0, 7]), (Some(u64::MAX), &[u32::MAX])] {
            if let Some(slot) = balancer.pick(key, tried)? {
                return Err(format!("it chose slot {slot} of no endpoints").into());
            }
        }
        balancer.remove(0, 3)?;
        balancer.outcomes(&[])?;
        balancer.outcomes(&[outcome(3, OutcomeClass::Timeout, 5)])?;
        balancer.save()?;
    }
    Ok(())
}

/// A call of values that nobody will ever mean.
#[derive(Clone, Debug)]
enum Extreme {
    Endpoints { generation: u64, endpoints: Vec<Endpoint> },
    Outcomes(Vec<Outcome>),
    Clock { now_ms: u64 },
    Pick { key: Option<u64>, tried: Vec<u32> },
}

const SLOTS: [u32; 6] = [0, 1, 63, 65_536, u32::MAX - 1, u32::MAX];
const WEIGHTS: [u32; 6] = [0, 1, 65_535, 65_536, 1 << 31, u32::MAX];

fn survives_extremes(trial: &mut Trial<'_>) -> Checked {
    let mut calls = Vec::new();
    for _ in 0..(trial.steps / 100).clamp(20, 400) {
        calls.push(extreme(&mut trial.random));
        let picks = [(None, vec![]), (Some(u64::MAX), vec![0]), (Some(0), SLOTS.to_vec()), (None, vec![7; 100])];
        calls.extend(picks.into_iter().map(|(key, tried)| Extreme::Pick { key, tried }));
    }
    trial.measure("calls", calls.len() as f64);
    trial.try_list(calls, |trial, calls| {
        let mut balancer = trial.balancer()?;
        let mut known: &[Endpoint] = &[];
        for call in calls {
            let done = match call {
                Extreme::Endpoints { generation, endpoints } => {
                    known = endpoints;
                    balancer.replace_endpoints(*generation, endpoints)
                }
                Extreme::Outcomes(batch) => balancer.outcomes(batch),
                Extreme::Clock { now_ms } => {
                    balancer.set_now_ms(*now_ms);
                    Ok(())
                }
                Extreme::Pick { key, tried } => balancer.pick(*key, tried).and_then(|chosen| match chosen {
                    Some(slot) if !known.iter().any(|e| e.slot == slot && e.takes_new()) => {
                        Err(format!("chose slot {slot} of {known:?}"))
                    }
                    _ => Ok(()),
                }),
            };
            done.map_err(|fault| format!("{call:?}: {fault}"))?;
        }
        Ok(())
    })
}

fn extreme(random: &mut fastrand::Rng) -> Extreme {
    let one_of = |random: &mut fastrand::Rng, values: &[u32]| values[random.usize(..values.len())];
    match random.u8(..4) {
        0 => Extreme::Clock { now_ms: [0, 1, 3_600_000, 1 << 40, u64::MAX - 1, u64::MAX][random.usize(..6)] },
        1 => {
            let classes = [
                OutcomeClass::Success,
                OutcomeClass::ServerError,
                OutcomeClass::ConnectFailure,
                OutcomeClass::ClientAbort,
            ];
            let one = |random: &mut fastrand::Rng| Outcome {
                slot: one_of(random, &SLOTS),
                class: classes[random.usize(..classes.len())],
                status: random.u16(..),
                first_byte_us: one_of(random, &[0, 1, u32::MAX]),
                total_us: one_of(random, &[0, 1, u32::MAX]),
            };
            let count = [0, 1, 10, 1024][random.usize(..4)];
            Extreme::Outcomes((0..count).map(|_| one(random)).collect())
        }
        _ => {
            let mut endpoints = Vec::new();
            for slot in SLOTS {
                let states =
                    [Availability::Ready, Availability::Ready, Availability::Draining, Availability::Unavailable];
                if random.bool() {
                    endpoints.push(Endpoint {
                        weight: one_of(random, &WEIGHTS),
                        ramp: one_of(random, &[0, 1, 1000, 1001, u32::MAX]),
                        priority: one_of(random, &[0, 0, 1, u32::MAX]),
                        availability: states[random.usize(..states.len())],
                        ..Endpoint::new(slot)
                    });
                }
            }
            Extreme::Endpoints { generation: [0, 1, 5, 4, u64::MAX][random.usize(..5)], endpoints }
        }
    }
}

fn can_be_created_again(trial: &mut Trial<'_>) -> Checked {
    let steps = random_steps(&mut trial.random, 300);
    let keys = trial.keys(200);
    let mut old = trial.balancer()?;
    let mut fleet = Fleet::new(9);
    play(&mut *old, &mut fleet, &steps)?;
    old.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
    if let Some(slot) = old.pick(None, &[])? {
        return Err(format!("slot {slot}, before it was told any endpoints again").into());
    }
    let fleet = Fleet::new(9);
    old.set_endpoints(&fleet.endpoints)?;
    let mut new = trial.balancer()?;
    new.set_endpoints(&fleet.endpoints)?;
    let chosen = map(&mut *old, &keys)?;
    if let Some(mistake) = chosen.iter().flatten().find_map(|slot| fleet.mistake(*slot)) {
        return Err(mistake.into());
    }
    if is_keyed(&mut *new, &keys)?
        && !kinds::remembers(&|worker| trial.on_worker(worker))?
        && chosen != map(&mut *new, &keys)?
    {
        return Err("keys lead elsewhere than in a new policy".to_owned().into());
    }
    let reached = |counts: Vec<u64>| counts.iter().filter(|count| **count > 0).count();
    let (one, other) =
        (reached(count(&mut *old, &fleet.endpoints, 600)?), reached(count(&mut *new, &fleet.endpoints, 600)?));
    if one != other {
        return Err(format!("it chooses from {one} endpoints, a new policy from {other}").into());
    }
    Ok(())
}

fn policies_are_apart(trial: &mut Trial<'_>) -> Checked {
    let steps = random_steps(&mut trial.random, (trial.steps / 10).max(200));
    trial.try_list(steps, |trial, steps| {
        let mut alone = one_balancer(trial.subject, trial.config, 0)?;
        let expected = play(&mut *alone, &mut Fleet::new(8), steps)?;
        let mut two = trial
            .subject
            .balancers(trial.config, 0, 2)
            .map_err(|failure| format!("creating two policies: {failure}"))?
            .into_iter();
        let (Some(mut one), Some(mut other)) = (two.next(), two.next()) else {
            return Err("creating two policies: there are not two".into());
        };
        let mut fleet = Fleet::new(8);
        let mut neighbours = Fleet::new(3);
        one.set_endpoints(&fleet.endpoints)?;
        let mut expected = expected.into_iter();
        for (number, step) in steps.iter().enumerate() {
            if fleet.take(*step) {
                one.set_endpoints(&fleet.endpoints)?;
            }
            if number % 7 == 0 {
                neighbours.take(Step::Weigh { at: number, weight: number as u32 % 5 });
                other.set_endpoints(&neighbours.endpoints)?;
            }
            if let Some(mistake) = other.pick(Some(number as u64), &[])?.and_then(|slot| neighbours.mistake(slot)) {
                return Err(format!("step {number}, the second policy: {mistake}"));
            }
            let Step::Pick { key } = step else { continue };
            let (chosen, alone) = (one.pick(*key, &[])?, expected.next().flatten());
            if chosen != alone {
                return Err(format!("step {number}: {chosen:?} beside another policy, {alone:?} without"));
            }
        }
        Ok(())
    })
}
