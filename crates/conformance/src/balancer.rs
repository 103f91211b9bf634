use crate::fleet::{Fleet, Step, play, random_steps};
use crate::kinds;
use crate::shares::{count, is_keyed, map};
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Availability, Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Balancer];

/// What holds for every balancer, whatever it prefers.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "B1",
        ALL,
        "only endpoints that are members, ready and have a weight are chosen, while they come, go and change",
        chooses_only_what_takes_new,
    ),
    Property::quick(
        "B2",
        ALL,
        "nothing is chosen when no endpoint may be, and something is as soon as one may be",
        knows_when_there_is_none,
    ),
    Property::quick("B3", ALL, "the only endpoint that may be chosen is always chosen", takes_the_only_one),
    Property::quick(
        "B4",
        ALL,
        "an endpoint that failed a request is not chosen for it again while another may be",
        avoids_what_was_tried,
    ),
    Property::quick(
        "B5",
        ALL,
        "changes that are not from the generation it has are refused, and change nothing",
        refuses_changes_from_elsewhere,
    ),
    Property::quick(
        "B6",
        ALL,
        "it does not matter whether endpoints are told by their changes, whole, or again",
        is_told_either_way,
    ),
    Property::quick("B7", ALL, "an endpoint of weight 0 gets nothing, whatever the others weigh", leaves_out_weight_0),
    Property::quick(
        "B16",
        ALL,
        "a further priority level gets nothing while all of the first is ready, and all when none of it is",
        goes_by_priority,
    ),
    Property::quick(
        "B19",
        ALL,
        "what another instance has prepared decides as what is made here, and what does not fit is not gone by",
        adopts_only_what_fits,
    ),
];

fn chooses_only_what_takes_new(trial: &mut Trial<'_>) -> Checked {
    let steps = random_steps(&mut trial.random, trial.steps);
    trial.measure("steps", steps.len() as f64);
    trial.try_list(steps, |trial, steps| {
        let mut balancer = trial.balancer()?;
        let mut fleet = Fleet::new(8);
        balancer.set_endpoints(&fleet.endpoints)?;
        for (number, step) in steps.iter().enumerate() {
            if fleet.take(*step) {
                balancer.set_endpoints(&fleet.endpoints).map_err(|fault| format!("step {number}: {fault}"))?;
            }
            let Step::Pick { key } = step else { continue };
            let chosen = balancer.pick(*key, &[]).map_err(|fault| format!("step {number}: {fault}"))?;
            if let Some(mistake) = chosen.and_then(|slot| fleet.mistake(slot)) {
                return Err(format!("step {number}: {mistake}"));
            }
        }
        Ok(())
    })
}

fn knows_when_there_is_none(trial: &mut Trial<'_>) -> Checked {
    let changed = |change: fn(&mut Endpoint)| {
        let mut endpoints = Endpoint::several(4);
        endpoints.iter_mut().for_each(change);
        endpoints
    };
    let sets = vec![
        Vec::new(),
        changed(|endpoint| endpoint.availability = Availability::Unavailable),
        changed(|endpoint| endpoint.availability = Availability::Draining),
        changed(|endpoint| endpoint.weight = 0),
    ];
    trial.try_list(sets, |trial, sets| {
        let mut balancer = trial.balancer()?;
        for set in sets {
            balancer.set_endpoints(set)?;
            for key in [None, Some(7)] {
                if let Some(slot) = balancer.pick(key, &[])? {
                    return Err(format!("slot {slot} of {set:?}"));
                }
            }
            balancer.set_endpoints(&[Endpoint::new(3)])?;
            if balancer.pick(None, &[])? != Some(3) {
                return Err(format!("nothing of one ready endpoint, after {set:?}"));
            }
        }
        Ok(())
    })
}

fn takes_the_only_one(trial: &mut Trial<'_>) -> Checked {
    let mut endpoints = Endpoint::several(5);
    for endpoint in &mut endpoints {
        endpoint.availability = if endpoint.slot == 2 { Availability::Ready } else { Availability::Unavailable };
    }
    trial.try_list(endpoints, |trial, endpoints| {
        let Some(only) = endpoints.iter().find(|endpoint| endpoint.takes_new()).map(|only| only.slot) else {
            return Ok(());
        };
        let mut balancer = trial.balancer()?;
        balancer.set_endpoints(endpoints)?;
        for number in 0..u64::from(trial.steps / 20) {
            let chosen = balancer.pick((number % 2 == 0).then_some(number), &[])?;
            if chosen != Some(only) {
                return Err(format!("pick {number}: {chosen:?} instead of slot {only} of {endpoints:?}"));
            }
            // Even for a request that it has failed: there is no other.
            let chosen = balancer.pick(None, &[only])?;
            if chosen.is_some_and(|slot| slot != only) {
                return Err(format!("pick {number} after slot {only} was tried: {chosen:?}"));
            }
        }
        Ok(())
    })
}

fn avoids_what_was_tried(trial: &mut Trial<'_>) -> Checked {
    let keys: Vec<Option<u64>> =
        (0..trial.steps / 20).map(|_| trial.random.bool().then(|| trial.random.u64(..))).collect();
    trial.try_list(keys, |trial, keys| {
        let mut balancer = trial.balancer()?;
        let endpoints = Endpoint::weighing(&[1, 2, 3, 4, 5, 6]);
        balancer.set_endpoints(&endpoints)?;
        for (number, key) in keys.iter().enumerate() {
            let mut tried = Vec::new();
            while tried.len() < endpoints.len() {
                match balancer.pick(*key, &tried)? {
                    Some(slot) if tried.contains(&slot) => {
                        let count = endpoints.len();
                        return Err(format!(
                            "request {number}: slot {slot} again after {tried:?} of {count} endpoints"
                        ));
                    }
                    Some(slot) => tried.push(slot),
                    None => return Err(format!("request {number}: nothing though only {tried:?} were tried")),
                }
            }
        }
        Ok(())
    })
}

fn refuses_changes_from_elsewhere(trial: &mut Trial<'_>) -> Checked {
    let mut balancer = trial.balancer()?;
    let now = balancer.generation();
    for base in [now + 1, now + 1000] {
        if balancer.remove(base, 0)? {
            return Err(
                format!("changes from generation {base} were taken at generation {now}, of no endpoints").into()
            );
        }
    }
    let fleet = Fleet::new(3);
    balancer.set_endpoints(&fleet.endpoints)?;
    let keys = trial.keys(100);
    let keyed = is_keyed(&mut *balancer, &keys)?;
    let before = map(&mut *balancer, &keys)?;
    let now = balancer.generation();
    for base in [now + 1, now + 1000, u64::MAX - 1, now.wrapping_sub(1)] {
        for slot in [0, 1, 2, 9] {
            if balancer.remove(base, slot)? {
                return Err(format!("changes from generation {base} were taken at generation {now}").into());
            }
        }
    }
    let after = map(&mut *balancer, &keys)?;
    if let Some(mistake) = after.iter().flatten().find_map(|slot| fleet.mistake(*slot)) {
        return Err(format!("after refused changes: {mistake}").into());
    }
    if keyed && before != after {
        return Err("refused changes moved keys".to_owned().into());
    }
    Ok(())
}

fn is_told_either_way(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(200);
    // Weights that differ by much would leave it to chance who is ever chosen; and some keep the weights they began with.
    let mut steps = random_steps(&mut trial.random, (trial.steps / 4).max(200));
    for step in &mut steps {
        if let Step::Weigh { weight, .. } = step {
            *weight = (*weight).min(4);
        }
    }
    let remembers = kinds::remembers(&|worker| trial.on_worker(worker))?;
    trial.try_list(steps, |trial, steps| {
        let mut by_changes = trial.balancer()?;
        let mut fleet = Fleet::new(7);
        play(&mut *by_changes, &mut fleet, steps)?;
        fleet.endpoints.iter_mut().for_each(|endpoint| endpoint.weight = 1);
        by_changes.set_endpoints(&fleet.endpoints)?;
        let mut whole = trial.balancer()?;
        whole.replace_endpoints(by_changes.generation(), &fleet.endpoints)?;
        if !remembers && is_keyed(&mut *whole, &keys)? {
            let expected = map(&mut *whole, &keys)?;
            compare(&expected, &map(&mut *by_changes, &keys)?, "told whole", "told by changes")?;
            by_changes.set_endpoints(&fleet.endpoints)?;
            compare(&expected, &map(&mut *by_changes, &keys)?, "told once", "told again")?;
            by_changes.replace_endpoints(by_changes.generation() + 1, &fleet.endpoints)?;
            return compare(&expected, &map(&mut *by_changes, &keys)?, "told once", "told again whole");
        }
        let picks = 60 * fleet.endpoints.len() as u32 + 1;
        let reached = |counts: Vec<u64>| counts.iter().filter(|count| **count > 0).count();
        let (one, other) = (
            reached(count(&mut *by_changes, &fleet.endpoints, picks)?),
            reached(count(&mut *whole, &fleet.endpoints, picks)?),
        );
        if one != other {
            return Err(format!(
                "told by changes it chooses from {one} endpoints, told whole from {other}, of {:?}",
                fleet.endpoints
            ));
        }
        Ok(())
    })
}

fn compare(expected: &[Option<u32>], found: &[Option<u32>], one: &str, other: &str) -> Result<(), String> {
    match expected.iter().zip(found).position(|(a, b)| a != b) {
        Some(key) => Err(format!("key {key} leads to {:?} {one}, and to {:?} {other}", expected[key], found[key])),
        None => Ok(()),
    }
}

fn leaves_out_weight_0(trial: &mut Trial<'_>) -> Checked {
    let weights = vec![0, 7, 0, 20, 1, 0, 40, 9, 0];
    trial.try_list(weights, |trial, weights| {
        let mut balancer = trial.balancer()?;
        let endpoints = Endpoint::weighing(weights);
        balancer.set_endpoints(&endpoints)?;
        for number in 0..u64::from((trial.steps / 10).max(200)) {
            let key = (number % 2 == 0).then(|| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let Some(slot) = balancer.pick(key, &[])? else { continue };
            if weights.get(slot as usize) == Some(&0) {
                return Err(format!("pick {number}: slot {slot} of weights {weights:?}"));
            }
        }
        Ok(())
    })
}

fn goes_by_priority(trial: &mut Trial<'_>) -> Checked {
    let mut balancer = trial.balancer()?;
    let mut endpoints = Endpoint::several(6);
    endpoints.iter_mut().for_each(|endpoint| endpoint.priority = endpoint.slot % 2);
    let picks = (trial.steps / 40).max(50);
    let rounds = [(Availability::Ready, 0), (Availability::Unavailable, 1), (Availability::Ready, 0)];
    for (availability, level) in rounds {
        endpoints.iter_mut().filter(|e| e.priority == 0).for_each(|e| e.availability = availability);
        balancer.set_endpoints(&endpoints)?;
        for number in 0..picks {
            let key = (number % 2 == 0).then(|| trial.random.u64(..));
            let chosen = balancer.pick(key, &[])?;
            if chosen.is_none_or(|slot| slot % 2 != level) {
                let chosen = chosen.map_or_else(|| "nothing".to_owned(), |slot| format!("slot {slot}"));
                return Err(Stop::Broken {
                    how: format!("{chosen} instead of one of priority {level}"),
                    smallest: Some(format!("{endpoints:?}")),
                });
            }
        }
    }
    Ok(())
}

fn adopts_only_what_fits(trial: &mut Trial<'_>) -> Checked {
    if !trial.balancer()?.prepares() {
        return Err(Stop::Skipped("it does not prepare for endpoints".into()));
    }
    let keys = trial.keys(200);
    let mut garbage: Vec<Vec<u32>> = vec![vec![], vec![0], vec![u32::MAX; 3]];
    garbage.push((0..5000).map(|_| trial.random.u32(..)).collect());
    let mut numbers = 0;
    for _ in 0..4 {
        let weights: Vec<u32> = (0..trial.random.u32(1..12)).map(|_| trial.random.u32(1..5)).collect();
        let endpoints = Endpoint::weighing(&weights);
        let mut preparing = trial.balancer()?;
        preparing.set_endpoints(&endpoints)?;
        let prepared = preparing.prepare()?;
        numbers = numbers.max(prepared.len());
        let adopting = |prepared: &[u32], endpoints: &[Endpoint]| {
            let mut balancer = trial.balancer()?;
            balancer.adopt(prepared)?;
            balancer.set_endpoints(endpoints)?;
            map(&mut *balancer, &keys)
        };
        let by_itself = adopting(&[], &endpoints)?;
        if adopting(&prepared, &endpoints)? != by_itself {
            return Err(format!("with weights {weights:?} it decides otherwise by what was prepared").into());
        }
        let others = Endpoint::weighing(&[weights.as_slice(), &[7]].concat());
        let by_others = adopting(&[], &others)?;
        if adopting(&prepared, &others)? != by_others {
            return Err(format!("what was prepared for weights {weights:?} decides about others").into());
        }
        for garbage in &garbage {
            if adopting(garbage, &endpoints)? != by_itself {
                return Err(format!("it goes by {} numbers that nobody has prepared", garbage.len()).into());
            }
        }
    }
    trial.measure("numbers", numbers as f64);
    Ok(())
}
