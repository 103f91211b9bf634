use super::ground::Ground;
use super::policy::{Affinity, several};
use super::site::{Client, Site};
use crate::foreign::foreign_states;
use crate::trial::{Checked, Property, Trial};
use crate::{Availability, Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Affinity];

/// What holds for policies of any role, for those that bind clients.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "G8a",
        ALL,
        "saved state of affinities can be restored, and what is foreign or cut off is refused or ignored",
        restores_or_refuses,
    ),
    Property::quick(
        "G9a",
        ALL,
        "affinities answer before the first endpoints, and bind nobody",
        answers_before_endpoints,
    ),
    Property::quick(
        "G10a",
        ALL,
        "extreme values are answered, and bind nobody to what cannot serve",
        survives_extremes,
    ),
    Property::thorough(
        "G11a",
        ALL,
        "an affinity that is destroyed and created again from the same configuration is as one that is new",
        can_be_created_again,
    ),
    Property::quick("G12a", ALL, "two affinities of one instance know nothing of each other's clients", are_apart),
];

fn restores_or_refuses(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::anyway(trial)?;
    let mut site = ground.site(Endpoint::several(6))?;
    ground.bound(&mut site, &[0, 1, 2, 3, 4, 5])?;
    let state = site.affinity.save().map_err(|fault| format!("saving: {fault}"))?;
    trial.measure("bytes", state.len() as f64);
    let states = std::iter::once(state.clone()).chain(foreign_states(&mut trial.random, &state));
    for state in states.collect::<Vec<_>>() {
        trial.try_list(state, |_, state| {
            let mut site = ground.site(Endpoint::several(6))?;
            site.affinity.restore(state).map_err(|fault| format!("restoring: {fault}"))?;
            for number in 1..8 {
                let mut client = Client::new(number);
                let found = site.find(&client)?.slot();
                if found.is_some_and(|slot| !site.keeps_bound(slot)) {
                    return Err(format!("with it client {number} is bound to {found:?} of 6 endpoints"));
                }
                site.visit(&mut client, 1)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn answers_before_endpoints(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::anyway(trial)?;
    let mut known = ground.site(Endpoint::several(3))?;
    let client = ground.bound(&mut known, &[1])?.remove(0);
    let values = [known.values(&client), known.values(&Client::new(9)), Vec::new()];
    // Once with an empty set told, and once with nothing told at all.
    for create_again in [false, true] {
        let mut site = ground.site(Vec::new())?;
        if create_again {
            site.affinity.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
        }
        for values in &values {
            if let Some(slot) = site.affinity.find(values)?.slot() {
                return Err(format!("a client was bound to slot {slot} of no endpoints").into());
            }
            site.affinity.prepare(values)?;
            site.affinity.bind(values, 1, &[])?;
        }
        site.affinity.save()?;
    }
    Ok(())
}

/// A call of values that nobody will ever mean.
#[derive(Clone, Debug)]
enum Extreme {
    Endpoints { generation: u64, endpoints: Vec<Endpoint> },
    Clock(u64),
    Visit { client: u32, slot: u32 },
}

const SLOTS: [u32; 6] = [0, 1, 63, 65_536, u32::MAX - 1, u32::MAX];

fn survives_extremes(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::anyway(trial)?;
    let calls: Vec<Extreme> = (0..(trial.steps / 20).clamp(60, 600)).map(|_| extreme(&mut trial.random)).collect();
    trial.measure("calls", calls.len() as f64);
    trial.try_list(calls, |_, calls| {
        let mut site = ground.site(Vec::new())?;
        let mut clients: Vec<Client> = (0..10).map(Client::new).collect();
        for call in calls {
            let done = match call {
                Extreme::Endpoints { generation, endpoints } => {
                    site.endpoints.clone_from(endpoints);
                    site.affinity.replace_endpoints(*generation, endpoints)
                }
                Extreme::Clock(now_ms) => {
                    site.affinity.set_now_ms(*now_ms);
                    Ok(())
                }
                Extreme::Visit { client, slot } => {
                    let client = &mut clients[*client as usize];
                    let found = site.find(client)?.slot();
                    if found.is_some_and(|slot| !site.keeps_bound(slot)) {
                        return Err(format!("{call:?}: bound to {found:?} of {:?}", site.endpoints));
                    }
                    site.visit(client, *slot).map(drop)
                }
            };
            done.map_err(|fault| format!("{call:?}: {fault}"))?;
        }
        Ok(())
    })
}

fn extreme(random: &mut fastrand::Rng) -> Extreme {
    match random.u8(..6) {
        0 => Extreme::Clock([0, 1, 3_600_000, 1 << 40, u64::MAX - 1, u64::MAX][random.usize(..6)]),
        1 => {
            let states = [Availability::Ready, Availability::Ready, Availability::Draining, Availability::Unavailable];
            let mut endpoints = Vec::new();
            for slot in SLOTS {
                if random.bool() {
                    endpoints.push(Endpoint {
                        weight: [0, 1, 65_536, u32::MAX][random.usize(..4)],
                        ramp: [0, 1000, u32::MAX][random.usize(..3)],
                        priority: [0, u32::MAX][random.usize(..2)],
                        availability: states[random.usize(..states.len())],
                        ..Endpoint::named(slot, slot % 1000)
                    });
                }
            }
            Extreme::Endpoints { generation: [0, 1, 5, 4, u64::MAX][random.usize(..5)], endpoints }
        }
        _ => Extreme::Visit { client: random.u32(..10), slot: SLOTS[random.usize(..SLOTS.len())] },
    }
}

fn can_be_created_again(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::with_clients(trial)?;
    let slots: Vec<u32> = (0..8).collect();
    let mut site = ground.site(Endpoint::several(8))?;
    let mut clients = ground.bound(&mut site, &slots)?;
    site.affinity.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
    if site.affinity.plan() != site.plan {
        return Err(format!("it asks for {:?}, and asked for {:?} before", site.affinity.plan(), site.plan).into());
    }
    site.tell(Endpoint::several(8))?;
    // What is in tables and at clients is still known: the policy's name and place are the same.
    for (client, slot) in clients.iter_mut().zip(slots) {
        let first = site.visit(client, slot)?;
        let second = site.visit(client, 0)?;
        if first.served != slot || second.found != Some(slot) {
            return Err(format!("a client of slot {slot} is sent to {first:?}, then {second:?}").into());
        }
    }
    Ok(())
}

fn are_apart(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::with_clients(trial)?;
    let Some(way) = ground.way else { return Err(Ground::nobody()) };
    let visits: Vec<(u32, u32)> =
        (0..(trial.steps / 50).max(60)).map(|_| (trial.random.u32(..6), trial.random.u32(..5))).collect();
    trial.try_list(visits, |_, visits| {
        let mut two: Vec<Box<dyn Affinity>> = several(ground.subject, ground.config, 0, 2)?;
        let (Some(there), Some(here)) = (two.pop(), two.pop()) else {
            return Err("creating two policies: there are not two".into());
        };
        let site = |affinity, endpoints| Site::of(affinity, ground.config, way, 0, endpoints);
        let mut sites = [
            site(here, Endpoint::several(5))?,
            site(there, (0..5).map(|slot| Endpoint::named(slot, slot + 50)).collect())?,
        ];
        // The same clients, as far as addresses and names go.
        let clients = || (0..6).map(|number| (Client::new(number), None)).collect::<Vec<_>>();
        let mut known = [clients(), clients()];
        for (number, (client, slot)) in visits.iter().enumerate() {
            let site = (number + *slot as usize) % 2;
            let (client, bound) = &mut known[site][*client as usize];
            let visit = sites[site].visit(client, *slot)?;
            if visit.found != *bound {
                return Err(format!(
                    "visit {number}: a client of policy {site} is bound to {:?}, and was to {bound:?}",
                    visit.found
                ));
            }
            *bound = Some(visit.served);
        }
        Ok(())
    })
}
