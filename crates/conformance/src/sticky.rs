use crate::shares::map;
use crate::trial::{Checked, Property, Trial};
use crate::{Availability, Endpoint, Profile};

const STICKY: &[Profile] = &[Profile::Sticky];

/// What holds for balancers that remember where a key went: where it goes first is up to them, and to what was before.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "S1",
        STICKY,
        "a key that comes again goes where it went, with a hundred others between",
        keeps_a_key_where_it_went,
    ),
    Property::thorough(
        "S2",
        STICKY,
        "keys stay where they are while another endpoint comes, goes or changes its weight",
        keeps_keys_while_others_come_and_go,
    ),
    Property::thorough(
        "S3",
        STICKY,
        "keys of an endpoint that goes are spread over the others, and stay there",
        finds_new_homes,
    ),
    Property::thorough("S4", STICKY, "keys are spread over the endpoints", spreads_keys),
];

/// Any memory worth the name has room for them.
const KEYS: usize = 100;
const ENDPOINTS: u32 = 6;

fn moved(before: &[Option<u32>], after: &[Option<u32>], from: impl Fn(u32) -> bool) -> usize {
    let stays = |place: &Option<u32>| place.is_some_and(&from);
    before.iter().zip(after).filter(|(before, after)| stays(before) && before != after).count()
}

fn keeps_a_key_where_it_went(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS);
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&Endpoint::several(ENDPOINTS))?;
    let before = map(&mut *balancer, &keys)?;
    for round in 0..3 {
        let after = map(&mut *balancer, &keys)?;
        if let Some(at) = before.iter().zip(&after).position(|(before, after)| before != after) {
            let (before, after) = (before[at], after[at]);
            return Err(format!("key {:#x} went to {before:?}, and in round {round} to {after:?}", keys[at]).into());
        }
    }
    Ok(())
}

/// What happens to a fleet.
type Change = fn(&mut Vec<Endpoint>);

fn keeps_keys_while_others_come_and_go(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS);
    let mut endpoints = Endpoint::several(ENDPOINTS);
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&endpoints)?;
    let mut before = map(&mut *balancer, &keys)?;
    let changes: [(&str, Change); 4] = [
        ("another came", |endpoints| endpoints.push(Endpoint::new(ENDPOINTS))),
        ("another had its weight changed", |endpoints| endpoints[0].weight = 3),
        ("another became unavailable", |endpoints| endpoints[1].availability = Availability::Unavailable),
        ("another went", |endpoints| drop(endpoints.remove(2))),
    ];
    for (what, change) in changes {
        change(&mut endpoints);
        balancer.set_endpoints(&endpoints)?;
        let after = map(&mut *balancer, &keys)?;
        let takes = |slot| endpoints.iter().any(|endpoint| endpoint.slot == slot && endpoint.takes_new());
        let moved = moved(&before, &after, takes);
        if moved > 0 {
            return Err(format!("{moved} of {KEYS} keys moved when {what}, though their endpoints stayed").into());
        }
        before = after;
    }
    Ok(())
}

fn finds_new_homes(trial: &mut Trial<'_>) -> Checked {
    const GONE: u32 = 2;
    let keys = trial.keys(10 * KEYS);
    let mut endpoints = Endpoint::several(4);
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&endpoints)?;
    let before = map(&mut *balancer, &keys)?;
    endpoints.retain(|endpoint| endpoint.slot != GONE);
    balancer.set_endpoints(&endpoints)?;
    let homeless: Vec<u64> =
        keys.iter().zip(&before).filter(|(_, at)| **at == Some(GONE)).map(|(key, _)| *key).collect();
    let homes = map(&mut *balancer, &homeless)?;
    trial.measure("keys", homeless.len() as f64);
    if let Some(at) = homes.iter().position(|home| home.is_none() || *home == Some(GONE)) {
        return Err(format!("key {:#x} leads to {:?} when slot {GONE} is gone", homeless[at], homes[at]).into());
    }
    let most = endpoints.iter().map(|e| homes.iter().filter(|home| **home == Some(e.slot)).count()).max().unwrap_or(0);
    if homeless.len() >= 30 && most * 10 > homeless.len() * 9 {
        return Err(format!("one endpoint got {most} of the {} keys of the one that went", homeless.len()).into());
    }
    let again = map(&mut *balancer, &homeless)?;
    let moved = moved(&homes, &again, |_| true);
    if moved > 0 { Err(format!("{moved} of them moved again").into()) } else { Ok(()) }
}

fn spreads_keys(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(10 * KEYS);
    let mut balancer = trial.balancer()?;
    let endpoints = Endpoint::several(ENDPOINTS);
    balancer.set_endpoints(&endpoints)?;
    let places = map(&mut *balancer, &keys)?;
    let counts = endpoints.iter().map(|e| places.iter().filter(|place| **place == Some(e.slot)).count());
    let (least, most) = counts.fold((usize::MAX, 0), |(least, most), count| (least.min(count), most.max(count)));
    trial.measure("least", least as f64);
    trial.measure("most", most as f64);
    let mean = keys.len() / ENDPOINTS as usize;
    if least * 3 < mean || most > 3 * mean {
        return Err(format!("endpoints have {least} to {most} of {} keys", keys.len()).into());
    }
    Ok(())
}
