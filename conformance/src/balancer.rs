use super::subject::{Availability, Balancer, Endpoint};
use super::{Property, Trial};

/// What holds for every balancer, whatever it prefers.
pub(super) const PROPERTIES: &[Property] = &[
    Property {
        id: "B1",
        role: Some("balancer"),
        promise: "only endpoints that are members, ready and have a weight are chosen, while they come, go and change",
        check: chooses_only_what_takes_new,
    },
    Property {
        id: "B2",
        role: Some("balancer"),
        promise: "nothing is chosen when no endpoint may be, and something is as soon as one may be",
        check: knows_when_there_is_none,
    },
    Property {
        id: "B3",
        role: Some("balancer"),
        promise: "the only endpoint that may be chosen is always chosen",
        check: takes_the_only_one,
    },
    Property {
        id: "B4",
        role: Some("balancer"),
        promise: "an endpoint that failed a request is not chosen for it again while another may be",
        check: avoids_what_was_tried,
    },
    Property {
        id: "B6",
        role: Some("balancer"),
        promise: "endpoints that are told again unchanged change nothing that a key is mapped by",
        check: repeats_for_a_key,
    },
];

fn chooses_only_what_takes_new(trial: &mut Trial<'_>) -> Result<(), String> {
    let mut balancer = trial.balancer()?;
    let mut endpoints: Vec<Endpoint> = (0..8).map(Endpoint::new).collect();
    let mut next_slot = 8;
    balancer.set_endpoints(&endpoints);
    for step in 0..trial.settings.steps {
        if step % 10 == 0 {
            churn(&mut trial.random, &mut endpoints, &mut next_slot);
            balancer.set_endpoints(&endpoints);
        }
        let key = trial.random.bool().then(|| trial.random.u64(..));
        let Some(slot) = balancer.pick(key, &[]).map_err(|fault| format!("step {step}: {fault}"))? else { continue };
        let chosen = endpoints.iter().find(|endpoint| endpoint.slot == slot);
        if !chosen.is_some_and(Endpoint::takes_new) {
            return Err(format!("step {step}: slot {slot}, which is {chosen:?}, of {endpoints:?}"));
        }
    }
    Ok(())
}

/// One endpoint comes, goes or changes.
fn churn(random: &mut fastrand::Rng, endpoints: &mut Vec<Endpoint>, next_slot: &mut u32) {
    let index = random.usize(..endpoints.len().max(1));
    match random.u8(..5) {
        0 if endpoints.len() < 20 => {
            endpoints.push(Endpoint { weight: random.u32(..4), ..Endpoint::new(*next_slot) });
            *next_slot += 1;
        }
        1 if !endpoints.is_empty() => {
            endpoints.remove(index);
        }
        2 | 3 => {
            if let Some(endpoint) = endpoints.get_mut(index) {
                let states = [Availability::Ready, Availability::Draining, Availability::Unavailable];
                endpoint.availability = states[random.usize(..states.len())];
            }
        }
        _ => {
            if let Some(endpoint) = endpoints.get_mut(index) {
                endpoint.weight = [0, 1, 2, 3, 100, 65_535][random.usize(..6)];
            }
        }
    }
}

fn knows_when_there_is_none(trial: &mut Trial<'_>) -> Result<(), String> {
    let mut balancer = trial.balancer()?;
    let none_ready = |mutate: fn(&mut Endpoint)| -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = (0..4).map(Endpoint::new).collect();
        endpoints.iter_mut().for_each(mutate);
        endpoints
    };
    let sets = [
        Vec::new(),
        none_ready(|endpoint| endpoint.availability = Availability::Unavailable),
        none_ready(|endpoint| endpoint.availability = Availability::Draining),
        none_ready(|endpoint| endpoint.weight = 0),
    ];
    for set in sets {
        balancer.set_endpoints(&set);
        for key in [None, Some(7)] {
            if let Some(slot) = balancer.pick(key, &[])? {
                return Err(format!("slot {slot} of {set:?}"));
            }
        }
        balancer.set_endpoints(&[Endpoint::new(3)]);
        if balancer.pick(None, &[])? != Some(3) {
            return Err(format!("nothing of one ready endpoint, after {set:?}"));
        }
    }
    Ok(())
}

fn takes_the_only_one(trial: &mut Trial<'_>) -> Result<(), String> {
    let mut balancer = trial.balancer()?;
    let mut endpoints: Vec<Endpoint> = (0..5).map(Endpoint::new).collect();
    for endpoint in &mut endpoints {
        endpoint.availability = if endpoint.slot == 2 { Availability::Ready } else { Availability::Unavailable };
    }
    balancer.set_endpoints(&endpoints);
    for number in 0..1000_u64 {
        let chosen = balancer.pick((number % 2 == 0).then_some(number), &[])?;
        if chosen != Some(2) {
            return Err(format!("pick {number}: {chosen:?} instead of slot 2 of {endpoints:?}"));
        }
        // Even for a request that it has failed: there is no other.
        let chosen = balancer.pick(None, &[2])?;
        if !matches!(chosen, None | Some(2)) {
            return Err(format!("pick {number} after slot 2 was tried: {chosen:?}"));
        }
    }
    Ok(())
}

fn avoids_what_was_tried(trial: &mut Trial<'_>) -> Result<(), String> {
    let mut balancer = trial.balancer()?;
    let endpoints: Vec<Endpoint> = (0..6).map(|slot| Endpoint { weight: slot + 1, ..Endpoint::new(slot) }).collect();
    balancer.set_endpoints(&endpoints);
    for step in 0..trial.settings.steps / 20 {
        let key = trial.random.bool().then(|| trial.random.u64(..));
        let mut tried = Vec::new();
        while tried.len() < endpoints.len() {
            match balancer.pick(key, &tried)? {
                Some(slot) if tried.contains(&slot) => {
                    return Err(format!(
                        "step {step}: slot {slot} again after {tried:?} of {} endpoints",
                        endpoints.len()
                    ));
                }
                Some(slot) => tried.push(slot),
                None => return Err(format!("step {step}: nothing though only {tried:?} were tried")),
            }
        }
    }
    Ok(())
}

fn repeats_for_a_key(trial: &mut Trial<'_>) -> Result<(), String> {
    let mut balancer = trial.balancer()?;
    let endpoints: Vec<Endpoint> = (0..7).map(Endpoint::new).collect();
    balancer.set_endpoints(&endpoints);
    let picks = |balancer: &mut dyn Balancer| -> Result<Vec<Option<u32>>, String> {
        (0..200_u64).map(|key| balancer.pick(Some(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)), &[])).collect()
    };
    let (first, second) = (picks(&mut *balancer)?, picks(&mut *balancer)?);
    if first != second {
        // It does not go by the key.
        return Ok(());
    }
    balancer.set_endpoints(&endpoints);
    let third = picks(&mut *balancer)?;
    match first.iter().zip(&third).position(|(before, after)| before != after) {
        Some(key) => Err(format!("key {key} moved from {:?} to {:?}", first[key], third[key])),
        None => Ok(()),
    }
}
