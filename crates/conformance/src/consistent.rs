use crate::shares::map;
use crate::statistics::margin;
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Availability, Balancer, Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Consistent, Profile::Numbered];

/// What a key may rely on. Bounds are those of the loosest of the known methods, Maglev's table for what moves and a ring
/// of 160 points for what is even; the numbers of the report tell how good it is.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "B10",
        &[Profile::Consistent],
        "where a key leads follows from the ids of endpoints, and not from their slots or their order",
        goes_by_id,
    ),
    Property::thorough(
        "C1",
        ALL,
        "when an endpoint goes, few keys of the others move: 2 of n at most",
        keeps_keys_when_one_goes,
    ),
    Property::thorough(
        "C1b",
        &[Profile::Minimal],
        "no key moves between endpoints that stay as they are, when another comes, goes, fails or recovers",
        moves_no_more_than_it_must,
    ),
    Property::thorough(
        "C2",
        ALL,
        "when an endpoint comes, it gets its share and few other keys move: 3 of n at most in all",
        moves_few_keys_when_one_comes,
    ),
    Property::thorough(
        "C3",
        ALL,
        "an endpoint that goes and comes back gets its keys back, and no other",
        gives_keys_back,
    ),
    Property::thorough("C4", ALL, "no endpoint gets more than 1.4 times the mean of the keys", is_even),
    Property::thorough(
        "C5",
        &[Profile::Proportional],
        "endpoints get keys in proportion to their weights, give or take two fifths",
        heeds_weights,
    ),
    Property::thorough(
        "C6",
        &[Profile::Bounded],
        "however hot a key is, no endpoint has more under way than its bound",
        keeps_to_the_bound,
    ),
    Property::thorough(
        "C7",
        ALL,
        "an instance that came to the same endpoints in another way leads keys to the same ones",
        forgets_how_it_came_about,
    ),
    Property::thorough(
        "C8",
        &[Profile::Proportional],
        "a weight that changes by a tenth moves no more than a fifth of a share, and some that Maglev's table may",
        moves_little_for_a_weight,
    ),
    Property::thorough(
        "C9",
        ALL,
        "while an endpoint is unavailable its keys are elsewhere, few others move, and then all are back",
        lends_keys_while_one_is_down,
    ),
];

const KEYS: usize = 5000;

/// Ids of the endpoints that keys lead to.
fn owners<'a>(balancer: &mut dyn Balancer, endpoints: &'a [Endpoint], keys: &[u64]) -> Result<Vec<&'a str>, String> {
    let chosen = map(balancer, keys)?;
    let found = chosen.iter().zip(keys).map(|(slot, key)| {
        let owner = endpoints.iter().find(|endpoint| Some(endpoint.slot) == *slot && endpoint.takes_new());
        owner.map(|owner| owner.id.as_str()).ok_or_else(|| format!("key {key:#x} leads to {slot:?} of {endpoints:?}"))
    });
    found.collect()
}

fn told<'a>(balancer: &mut dyn Balancer, endpoints: &'a [Endpoint], keys: &[u64]) -> Result<Vec<&'a str>, String> {
    balancer.set_endpoints(endpoints)?;
    owners(balancer, endpoints, keys)
}

fn moved(before: &[&str], after: &[&str]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}

/// Keys that moved though neither where they were nor where they are is `changed`.
fn moved_besides(before: &[&str], after: &[&str], changed: &str) -> usize {
    let besides = |(before, after): &(&&str, &&str)| before != after && **before != changed && **after != changed;
    before.iter().zip(after).filter(besides).count()
}

fn part(count: usize) -> f64 {
    count as f64 / KEYS as f64
}

fn goes_by_id(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS / 5);
    trial.try_list((0..21).collect(), |trial, numbers: &[u32]| {
        let here: Vec<Endpoint> = (0..).zip(numbers).map(|(slot, number)| Endpoint::named(slot, *number)).collect();
        let there: Vec<Endpoint> =
            (3..).step_by(2).zip(numbers.iter().rev()).map(|(slot, number)| Endpoint::named(slot, *number)).collect();
        let (mut one, mut other) = (trial.balancer()?, trial.balancer()?);
        if here.is_empty() {
            return Ok(());
        }
        let (a, b) = (told(&mut *one, &here, &keys)?, told(&mut *other, &there, &keys)?);
        match a.iter().zip(&b).position(|(a, b)| a != b) {
            Some(at) => Err(format!("key {:#x} leads to {}, and to {} with other slots", keys[at], a[at], b[at])),
            None => Ok(()),
        }
    })
}

/// Positions of endpoints that may go: any, or the last where endpoints are numbered.
fn who_may_go(trial: &Trial<'_>, count: usize) -> Vec<usize> {
    let Some(last) = count.checked_sub(1) else { return Vec::new() };
    if trial.takes(Profile::Numbered) { vec![last] } else { vec![0, count / 2, last] }
}

fn keeps_keys_when_one_goes(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS);
    let worst = std::cell::Cell::new(0.0_f64);
    let done = trial.try_list(Endpoint::several(20), |trial, endpoints| {
        if endpoints.len() < 2 {
            return Ok(());
        }
        for gone in who_may_go(trial, endpoints.len()) {
            let mut balancer = trial.balancer()?;
            let before = told(&mut *balancer, endpoints, &keys)?;
            let mut fewer = endpoints.to_vec();
            let gone = fewer.remove(gone);
            let after = told(&mut *balancer, &fewer, &keys)?;
            let off = part(moved_besides(&before, &after, &gone.id));
            let bound = 2.0 / endpoints.len() as f64 + 0.005;
            worst.set(worst.get().max(off));
            if off > bound {
                return Err(format!(
                    "{:.1} % of keys moved between the others when {} of {} endpoints went",
                    100.0 * off,
                    gone.id,
                    endpoints.len()
                ));
            }
        }
        Ok(())
    });
    trial.measure("moved of others", worst.get());
    done
}

fn moves_no_more_than_it_must(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS);
    trial.try_list(Endpoint::several(19), |trial, endpoints| {
        let count = endpoints.len();
        for at in who_may_go(trial, count) {
            let changed = &endpoints[at];
            let mut fewer = endpoints.to_vec();
            fewer.remove(at);
            let mut down = endpoints.to_vec();
            down[at].availability = Availability::Unavailable;
            if fewer.is_empty() {
                return Ok(());
            }
            let mut balancer = trial.balancer()?;
            let before = told(&mut *balancer, endpoints, &keys)?;
            for (what, now) in [("went", &fewer), ("came", &endpoints.to_vec()), ("failed", &down)] {
                let after = told(&mut *balancer, now, &keys)?;
                let off = moved_besides(&before, &after, &changed.id);
                if off > 0 {
                    let id = &changed.id;
                    return Err(format!(
                        "{off} of {KEYS} keys moved between other endpoints when {id} of {count} {what}"
                    ));
                }
            }
        }
        Ok(())
    })
}

fn moves_few_keys_when_one_comes(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS);
    let endpoints = Endpoint::several(22);
    let mut balancer = trial.balancer()?;
    let before = told(&mut *balancer, &endpoints[..21], &keys)?;
    let after = told(&mut *balancer, &endpoints, &keys)?;
    let (off, fair) = (part(moved(&before, &after)), 1.0 / 22.0);
    let got = part(after.iter().filter(|id| **id == endpoints[21].id).count());
    trial.measure("moved", off);
    trial.measure("fair", fair);
    let bound = 3.0 * fair + 0.005;
    if off > bound {
        return Err(format!("{:.1} % of keys moved when one came to 21 endpoints", 100.0 * off).into());
    }
    if got < fair / 2.0 {
        return Err(format!("it got {:.1} % of the keys of 22 endpoints", 100.0 * got).into());
    }
    Ok(())
}

fn gives_keys_back(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS / 5);
    trial.try_list(Endpoint::several(18), |trial, endpoints| {
        for at in who_may_go(trial, endpoints.len()) {
            let mut balancer = trial.balancer()?;
            let before = told(&mut *balancer, endpoints, &keys)?;
            let mut fewer = endpoints.to_vec();
            let mut back = fewer.remove(at);
            if fewer.is_empty() {
                return Ok(());
            }
            balancer.set_endpoints(&fewer)?;
            let mut again = endpoints.to_vec();
            if !trial.takes(Profile::Numbered) {
                // Its slot is somebody else's by now, for all it may know.
                back.slot = 40;
                again.remove(at);
                again.push(back);
            }
            let after = told(&mut *balancer, &again, &keys)?;
            let off = moved(&before, &after);
            if off > 0 {
                let (id, count) = (&endpoints[at].id, endpoints.len());
                return Err(format!(
                    "{off} of {} keys are elsewhere after {id} of {count} went and came back",
                    keys.len()
                ));
            }
        }
        Ok(())
    })
}

fn is_even(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: usize = 10;
    let keys = trial.keys(4 * KEYS);
    let mut balancer = trial.balancer()?;
    let endpoints = Endpoint::several(ENDPOINTS as u32);
    let chosen = told(&mut *balancer, &endpoints, &keys)?;
    let counts: Vec<usize> = endpoints.iter().map(|e| chosen.iter().filter(|id| **id == e.id).count()).collect();
    let mean = keys.len() as f64 / ENDPOINTS as f64;
    let most = counts.iter().copied().max().unwrap_or(0) as f64 / mean;
    let least = counts.iter().copied().min().unwrap_or(0) as f64 / mean;
    trial.measure("max/mean", most);
    trial.measure("min/mean", least);
    if most > 1.4 {
        return Err(format!("{ENDPOINTS} endpoints got {counts:?} keys").into());
    }
    Ok(())
}

fn heeds_weights(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(4 * KEYS);
    let weights = [1, 2, 4, 8];
    let mut balancer = trial.balancer()?;
    let endpoints = Endpoint::weighing(&weights);
    let chosen = told(&mut *balancer, &endpoints, &keys)?;
    let mut worst = 0.0_f64;
    let total: u32 = weights.iter().sum();
    for endpoint in &endpoints {
        let got = chosen.iter().filter(|id| **id == endpoint.id).count() as f64;
        let wanted = f64::from(endpoint.weight) / f64::from(total);
        let mean = keys.len() as f64 * wanted;
        worst = worst.max((got / mean - 1.0).abs());
        if (got - mean).abs() > 0.4 * mean + margin(keys.len() as f64, wanted) {
            return Err(format!("weight {} of {weights:?} got {got} keys of {}", endpoint.weight, keys.len()).into());
        }
    }
    trial.measure("largest deviation", worst);
    Ok(())
}

fn keeps_to_the_bound(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 8;
    let Some(factor) = bound(trial.config) else {
        return Err(Stop::Skipped(
            "the configuration names no `hash_balance_factor`, so its bound is not known".into(),
        ));
    };
    let keys = trial.keys(400);
    let mut balancer = trial.balancer()?;
    let endpoints = Endpoint::several(ENDPOINTS);
    balancer.set_endpoints(&endpoints)?;
    let mut loads = vec![0_u32; ENDPOINTS as usize];
    let mut worst = 0.0_f64;
    for (number, key) in keys.iter().enumerate() {
        // Half of all requests are for one key.
        let key = if number % 2 == 0 { 7 } else { *key };
        let slot = balancer.pick(Some(key), &[])?.ok_or_else(|| format!("pick {number}: nothing"))?;
        let load = loads.get_mut(slot as usize).ok_or_else(|| format!("pick {number}: slot {slot}"))?;
        *load += 1;
        balancer.set_in_flight(slot, *load);
        let mean = (number + 1) as f64 / f64::from(ENDPOINTS);
        worst = worst.max(f64::from(*load) / mean.max(1.0));
        // The bound itself is rounded up, and so is the mean that it is of.
        if f64::from(*load) > (factor * mean).ceil() + 1.0 {
            let how = format!("{load} under way at slot {slot} after {} picks of {ENDPOINTS} endpoints", number + 1);
            return Err(Stop::Broken { how, smallest: Some(format!("{} picks", number + 1)) });
        }
    }
    trial.measure("factor", factor);
    trial.measure("max/mean", worst);
    Ok(())
}

/// The factor that a configuration asks for, if it calls it as the plugins of the proxy do.
fn bound(config: &str) -> Option<f64> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    config.get("hash_balance_factor")?.as_f64().filter(|percent| *percent > 0.0).map(|percent| percent / 100.0)
}

fn forgets_how_it_came_about(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS / 5);
    let ending = Endpoint::weighing(&[1, 2, 1, 3, 1, 1, 2, 1, 1]);
    let mut direct = trial.balancer()?;
    let expected = told(&mut *direct, &ending, &keys)?;
    // Ways there, each a list of sets that were there before.
    let mut others = Endpoint::several(12);
    others.iter_mut().for_each(|endpoint| endpoint.weight = 5);
    let mut down = ending.clone();
    down.iter_mut().step_by(2).for_each(|endpoint| endpoint.availability = Availability::Unavailable);
    let strangers: Vec<Endpoint> = (0..5).map(|slot| Endpoint::named(slot, 100 + slot)).collect();
    let ways = vec![vec![ending[5..].to_vec()], vec![others], vec![down], vec![strangers], vec![ending[..2].to_vec()]];
    trial.try_list(ways.into_iter().flatten().collect(), |trial, way: &[Vec<Endpoint>]| {
        let mut balancer = trial.on_worker(1)?;
        for set in way {
            balancer.set_endpoints(set)?;
            map(&mut *balancer, &keys[..10])?;
        }
        let found = told(&mut *balancer, &ending, &keys)?;
        let off = moved(&expected, &found);
        if off > 0 { Err(format!("{off} of {} keys lead elsewhere", keys.len())) } else { Ok(()) }
    })
}

fn moves_little_for_a_weight(trial: &mut Trial<'_>) -> Checked {
    // One stays the heaviest: who takes weights as parts of the largest may move more when that grows.
    let weights = [10, 10, 10, 10, 20, 10, 10, 20];
    let keys = trial.keys(KEYS);
    let mut endpoints = Endpoint::weighing(&weights);
    let mut balancer = trial.balancer()?;
    let original = endpoints.clone();
    let before = told(&mut *balancer, &original, &keys)?;
    endpoints[3].weight = 11;
    let after = told(&mut *balancer, &endpoints, &keys)?;
    let off = part(moved(&before, &after));
    trial.measure("moved", off);
    let bound = 2.0 * 0.1 * 0.1 + 0.03;
    if off > bound {
        return Err(
            format!("{:.1} % of keys moved when one weight of {weights:?} grew from 10 to 11", 100.0 * off).into()
        );
    }
    Ok(())
}

fn lends_keys_while_one_is_down(trial: &mut Trial<'_>) -> Checked {
    let keys = trial.keys(KEYS);
    let worst = std::cell::Cell::new(0.0_f64);
    let done = trial.try_list(Endpoint::several(16), |trial, endpoints| {
        if endpoints.len() < 2 {
            return Ok(());
        }
        let mut balancer = trial.balancer()?;
        let before = told(&mut *balancer, endpoints, &keys)?;
        for at in [0, endpoints.len() / 2] {
            let mut down = endpoints.to_vec();
            down[at].availability = Availability::Unavailable;
            let while_down = told(&mut *balancer, &down, &keys)?;
            let off = part(moved_besides(&before, &while_down, &endpoints[at].id));
            worst.set(worst.get().max(off));
            let (id, count) = (&endpoints[at].id, endpoints.len());
            if off > 2.0 / count as f64 + 0.005 {
                let percent = 100.0 * off;
                return Err(format!("{percent:.1} % of keys moved between the others when {id} of {count} failed"));
            }
            let back = told(&mut *balancer, endpoints, &keys)?;
            let lost = moved(&before, &back);
            if lost > 0 {
                return Err(format!("{lost} of {KEYS} keys are elsewhere after {id} of {count} failed and recovered"));
            }
        }
        Ok(())
    });
    trial.measure("moved of others", worst.get());
    done
}
