use super::ground::Ground;
use super::site::{Client, Site};
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Availability, Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Affinity];

/// Who stays where, whatever happens to endpoints.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "A1",
        ALL,
        "a client that was bound comes back to its endpoint, however many others come between",
        comes_back,
    ),
    Property::quick(
        "A2",
        ALL,
        "clients stay while other endpoints come, go, fail and change, and whichever way that is told",
        stays_while_others_change,
    ),
    Property::quick(
        "A3",
        ALL,
        "a draining endpoint, or one of weight 0, keeps its clients and gets no new ones",
        drains,
    ),
    Property::quick(
        "A4",
        ALL,
        "a client whose endpoint fails or goes is let go, bound to another once, and stays there",
        moves_once,
    ),
    Property::quick(
        "A8",
        ALL,
        "who was bound to an endpoint is bound to no other that gets its slot, and to the same one in another slot",
        goes_by_the_endpoint,
    ),
];

fn comes_back(trial: &mut Trial<'_>) -> Checked {
    const CLIENTS: u32 = 8;
    let ground = Ground::anyway(trial)?;
    if ground.way.is_none() {
        return means_something(&ground);
    }
    let endpoints = Endpoint::several(7);
    let count = endpoints.len() as u32;
    let visits: Vec<(u32, u32)> =
        (0..(trial.steps / 20).max(100)).map(|_| (trial.random.u32(..CLIENTS), trial.random.u32(..count))).collect();
    trial.measure("visits", visits.len() as f64);
    trial.try_list(visits, |_, visits| {
        let mut site = ground.site(endpoints.clone())?;
        let mut clients: Vec<(Client, Option<u32>)> = (0..CLIENTS).map(|number| (Client::new(number), None)).collect();
        for (number, (client, choice)) in visits.iter().enumerate() {
            let (client, bound) = &mut clients[*client as usize];
            let visit = site.visit(client, *choice)?;
            if visit.found != *bound {
                return Err(format!(
                    "visit {number}: client {} is bound to {:?}, and was to {bound:?}",
                    client.number, visit.found
                ));
            }
            *bound = Some(visit.served);
        }
        Ok(())
    })
}

/// Nobody was known again. That is a fault of the affinity if it did give the client something.
fn means_something(ground: &Ground<'_>) -> Checked {
    let mut site = ground.site_of(0, Endpoint::several(4))?;
    let mut client = Client::new(1);
    site.visit(&mut client, 1)?;
    let sends_it = site.values(&client) != site.values(&Client::new(1));
    if sends_it {
        return Err(Stop::Broken {
            how: "a client that sends what it was given is not bound to the endpoint that answered it".into(),
            smallest: Some(format!("{client:?}")),
        });
    }
    Err(Ground::nobody())
}

/// What happens to an endpoint that nobody is bound to.
#[derive(Clone, Copy, Debug)]
enum Step {
    Come,
    Go {
        at: usize,
    },
    Become {
        at: usize,
        availability: Availability,
    },
    Weigh {
        at: usize,
        weight: u32,
    },
    /// All endpoints are told again.
    Whole,
}

/// The first endpoints, which have clients and stay as they are.
const WITH_CLIENTS: u32 = 6;
const MOST: usize = 14;

fn stays_while_others_change(trial: &mut Trial<'_>) -> Checked {
    let ground = Ground::with_clients(trial)?;
    let steps: Vec<Step> = (0..(trial.steps / 40).max(60)).map(|_| random_step(&mut trial.random)).collect();
    trial.measure("changes", steps.len() as f64);
    trial.try_list(steps, |_, steps| {
        let mut site = ground.site(Endpoint::several(WITH_CLIENTS))?;
        let slots: Vec<u32> = (0..WITH_CLIENTS).collect();
        let clients = ground.bound(&mut site, &slots)?;
        let mut next_slot = WITH_CLIENTS;
        for (number, step) in steps.iter().enumerate() {
            take(&mut site, *step, &mut next_slot).map_err(|fault| format!("step {number}: {fault}"))?;
            for (client, slot) in clients.iter().zip(&slots) {
                let found = site.find(client)?.slot();
                if found != Some(*slot) {
                    let number = client.number;
                    return Err(format!("client {number} was bound to slot {slot}, and after {step:?} to {found:?}"));
                }
            }
        }
        Ok(())
    })
}

fn random_step(random: &mut fastrand::Rng) -> Step {
    let at = random.usize(..MOST);
    match random.u8(..6) {
        0 | 1 => Step::Come,
        2 => Step::Go { at },
        3 => {
            let states = [Availability::Ready, Availability::Draining, Availability::Unavailable];
            Step::Become { at, availability: states[random.usize(..states.len())] }
        }
        4 => Step::Weigh { at, weight: [0, 1, 2, 100, 65_535][random.usize(..5)] },
        _ => Step::Whole,
    }
}

fn take(site: &mut Site, step: Step, next_slot: &mut u32) -> Result<(), String> {
    let mut endpoints = site.endpoints.clone();
    let others = endpoints.len() - WITH_CLIENTS as usize;
    let other = |at: usize| (others > 0).then(|| WITH_CLIENTS as usize + at % others);
    match step {
        Step::Come if endpoints.len() < MOST => {
            endpoints.push(Endpoint::new(*next_slot));
            *next_slot += 1;
        }
        Step::Come => {}
        Step::Go { at } => {
            other(at).map(|at| endpoints.remove(at));
        }
        Step::Become { at, availability } => {
            if let Some(at) = other(at) {
                endpoints[at].availability = availability;
            }
        }
        Step::Weigh { at, weight } => {
            if let Some(at) = other(at) {
                endpoints[at].weight = weight;
            }
        }
        Step::Whole => {
            let generation = site.affinity.generation() + 1;
            return site.affinity.replace_endpoints(generation, &endpoints);
        }
    }
    site.tell(endpoints)
}

fn drains(trial: &mut Trial<'_>) -> Checked {
    const SLOT: u32 = 2;
    let ground = Ground::with_clients(trial)?;
    let changes: [fn(&mut Endpoint); 2] =
        [|endpoint| endpoint.availability = Availability::Draining, |endpoint| endpoint.weight = 0];
    for change in changes {
        let mut site = ground.site(Endpoint::several(5))?;
        let mut clients = ground.bound(&mut site, &[SLOT, SLOT, SLOT])?;
        let mut endpoints = site.endpoints.clone();
        change(&mut endpoints[SLOT as usize]);
        site.tell(endpoints.clone())?;
        for _ in 0..3 {
            for client in &mut clients {
                let found = site.visit(client, 0)?.found;
                if found != Some(SLOT) {
                    return Err(format!(
                        "client {} was bound to slot {SLOT}, and to {found:?} of {endpoints:?}",
                        client.number
                    )
                    .into());
                }
            }
        }
        for number in 100..120 {
            let found = site.find(&Client::new(number))?.slot();
            if found == Some(SLOT) {
                return Err(format!("a new client was bound to slot {SLOT} of {endpoints:?}").into());
            }
        }
    }
    Ok(())
}

fn moves_once(trial: &mut Trial<'_>) -> Checked {
    const CLIENTS: u32 = 6;
    let ground = Ground::with_clients(trial)?;
    for goes in [false, true] {
        trial.try_list((0..CLIENTS).collect(), |_, clients: &[u32]| {
            let mut site = ground.site(Endpoint::several(4))?;
            let slots: Vec<u32> = clients.iter().map(|number| number % 2).collect();
            let mut clients = ground.bound(&mut site, &slots)?;
            let well = site.endpoints.clone();
            let mut failed = well.clone();
            if goes {
                failed.remove(1);
            } else {
                failed[1].availability = Availability::Unavailable;
            }
            site.tell(failed)?;
            let mut now = Vec::new();
            for (client, slot) in clients.iter_mut().zip(&slots) {
                let what = format!(
                    "client {} of slot {slot}, after slot 1 {}",
                    client.number,
                    if goes { "went" } else { "failed" }
                );
                let binding = site.find(client)?.slot();
                if binding.is_some_and(|slot| !site.keeps_bound(slot)) {
                    return Err(format!("{what}: bound to {binding:?}, which cannot serve it"));
                }
                let first = site.visit(client, 2 + client.number % 2)?;
                if *slot != 1 && first.found != Some(*slot) {
                    return Err(format!("{what}: bound to {:?}", first.found));
                }
                let second = site.visit(client, 0)?;
                if second.found != Some(first.served) {
                    return Err(format!("{what}: answered by slot {}, then bound to {:?}", first.served, second.found));
                }
                now.push(first.served);
            }
            // The former one is back, and has no claim to them any more.
            site.tell(well)?;
            for (client, slot) in clients.iter_mut().zip(&now) {
                let found = site.visit(client, 0)?.found;
                if found != Some(*slot) {
                    return Err(format!(
                        "client {} moved to slot {slot}, and when slot 1 was back to {found:?}",
                        client.number
                    ));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn goes_by_the_endpoint(trial: &mut Trial<'_>) -> Checked {
    const SLOT: u32 = 3;
    let ground = Ground::with_clients(trial)?;
    for whole in [false, true] {
        let mut site = ground.site(Endpoint::several(10))?;
        let clients = ground.bound(&mut site, &[SLOT, SLOT, 5])?;
        let mut endpoints = site.endpoints.clone();
        endpoints[SLOT as usize] = Endpoint::named(SLOT, 77);
        let tell = |site: &mut Site, endpoints: &Vec<Endpoint>| {
            if whole {
                let generation = site.affinity.generation() + 1;
                site.affinity.replace_endpoints(generation, endpoints)
            } else {
                site.tell(endpoints.clone())
            }
        };
        tell(&mut site, &endpoints)?;
        for client in &clients[..2] {
            let found = site.find(client)?.slot();
            if found == Some(SLOT) {
                return Err(format!("bound to another endpoint in slot {SLOT} of {endpoints:?}").into());
            }
        }
        endpoints.push(Endpoint::named(12, SLOT));
        tell(&mut site, &endpoints)?;
        for (client, slot) in clients.iter().zip([12, 12, 5]) {
            let found = site.find(client)?.slot();
            if found != Some(slot) {
                return Err(
                    format!("its endpoint is in slot {slot} of {endpoints:?}, and it is bound to {found:?}").into()
                );
            }
        }
    }
    Ok(())
}
