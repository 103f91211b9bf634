//! By what a balancer shows of which kind it is.

use crate::load::Traffic;
use crate::profile::{Profile, Shown};
use crate::shares::{count, is_keyed, longest_run, map};
use crate::{Availability, Balancer, Endpoint};

/// Creates a balancer on a worker.
type Create<'a> = &'a dyn Fn(u32) -> Result<Box<dyn Balancer>, String>;

/// Whether a balancer behaves as one of a profile does, in a small way; and by what that shows.
pub(crate) fn shows(profile: Profile, claims: &[Profile], create: Create<'_>) -> Result<Shown, String> {
    let (shown, yes, no) = match profile {
        // That another proxy numbers its endpoints differently is what most who hash numbers have not thought of.
        Profile::Numbered => return Ok((false, "it does not claim to go by numbers".to_owned())),
        Profile::Packing => return Ok((false, "it does not claim to pack".to_owned())),
        Profile::Consistent if claims.contains(&Profile::Numbered) => {
            return Ok((false, "it claims to go by numbers".to_owned()));
        }
        Profile::Consistent => (
            goes_by_key(create)?,
            "the same key led to the same endpoint, twice and in another instance",
            "a key does not lead to one endpoint, whatever was before",
        ),
        Profile::Sticky => (
            remembers(create)?,
            "the same key led to the same endpoint twice, and in another instance to another",
            "a key does not lead where it went before, or goes there whatever was before",
        ),
        Profile::Proportional => (
            goes_by_key(create)? && heeds_weights(create)?,
            "weight 3 got far more keys than weight 1",
            "weight 3 did not get far more keys than weight 1, or it does not go by keys",
        ),
        Profile::Minimal => (
            goes_by_key(create)? && moves_least(create)?,
            "when one of 12 endpoints failed, no key of the others moved",
            "keys of the others moved when one of 12 endpoints failed, or it does not go by keys",
        ),
        Profile::Bounded => (
            goes_by_key(create)? && spills(create)?,
            "a hot key spilled over to other endpoints",
            "a hot key stays at one endpoint, or it does not go by keys",
        ),
        Profile::Uniform => (
            !is_keyed_at_all(create)? && is_within(&counts_of(create, &Endpoint::several(4))?, &[100; 4]),
            "4 endpoints got about the same",
            "4 endpoints did not get the same, or it goes by keys",
        ),
        Profile::Weighted => (
            !is_keyed_at_all(create)? && is_within(&counts_of(create, &Endpoint::weighing(&[1, 3]))?, &[100, 300]),
            "weights 1 and 3 got about that",
            "weights 1 and 3 did not get that, or it goes by keys",
        ),
        Profile::Smooth => (
            !is_keyed_at_all(create)? && is_smooth(create)?,
            "weights 5, 1, 1 and 7, 3, 1 gave exact cycles without bursts",
            "weights 5, 1, 1 or 7, 3, 1 did not give exact cycles without bursts",
        ),
        Profile::Ramp => (
            warms_up(create)?,
            "an endpoint at a ramp of 100 of 1000 got less",
            "an endpoint at a ramp of 100 of 1000 got no less, or nothing",
        ),
        Profile::Spread => (
            !is_keyed_at_all(create)? && begins_anywhere(create)?,
            "two instances with seeds of their own chose differently",
            "two instances with seeds of their own chose alike, or it goes by keys",
        ),
        Profile::Least => (
            !is_keyed_at_all(create)? && heeds_load(create)?,
            "an endpoint with a high load got less",
            "an endpoint with a high load got no less, or it goes by keys",
        ),
        Profile::Latency => (
            heeds_latency(create)?,
            "a slow endpoint got less at the same load",
            "a slow endpoint got no less at the same load",
        ),
        other => return Ok((other.is_of_all(), "not of this role".to_owned())),
    };
    Ok((shown, if shown { yes } else { no }.to_owned()))
}

/// Well spread and always the same.
fn keys(count: u64) -> Vec<u64> {
    (1..=count).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
}

fn with(create: Create<'_>, endpoints: &[Endpoint]) -> Result<Box<dyn Balancer>, String> {
    let mut balancer = create(0)?;
    balancer.set_endpoints(endpoints)?;
    Ok(balancer)
}

/// A key goes where it went, and where that is depends on what was before.
pub(crate) fn remembers(create: Create<'_>) -> Result<bool, String> {
    Ok(is_keyed_at_all(create)? && !goes_by_key(create)?)
}

/// A key goes where it went, for whatever reason.
fn is_keyed_at_all(create: Create<'_>) -> Result<bool, String> {
    is_keyed(&mut *with(create, &Endpoint::several(8))?, &keys(61))
}

/// A key goes to the same endpoint in an instance that has seen others before.
fn goes_by_key(create: Create<'_>) -> Result<bool, String> {
    if !is_keyed_at_all(create)? {
        return Ok(false);
    }
    let endpoints = Endpoint::several(8);
    let (keys, mut others) = (keys(61), keys(150).split_off(61));
    let here = map(&mut *with(create, &endpoints)?, &keys)?;
    let mut elsewhere = create(1)?;
    elsewhere.set_endpoints(&endpoints)?;
    others.reverse();
    map(&mut *elsewhere, &others)?;
    Ok(map(&mut *elsewhere, &keys)? == here)
}

fn moves_least(create: Create<'_>) -> Result<bool, String> {
    let keys = keys(3000);
    let mut endpoints = Endpoint::several(12);
    let mut balancer = with(create, &endpoints)?;
    let before = map(&mut *balancer, &keys)?;
    endpoints[1].availability = Availability::Unavailable;
    balancer.set_endpoints(&endpoints)?;
    let after = map(&mut *balancer, &keys)?;
    Ok(before.iter().zip(&after).all(|(before, after)| before == after || *before == Some(1)))
}

fn heeds_weights(create: Create<'_>) -> Result<bool, String> {
    let chosen = map(&mut *with(create, &Endpoint::weighing(&[1, 3]))?, &keys(400))?;
    let heavy = chosen.iter().filter(|slot| **slot == Some(1)).count();
    Ok((240..400).contains(&heavy))
}

fn spills(create: Create<'_>) -> Result<bool, String> {
    let mut balancer = with(create, &Endpoint::several(5))?;
    let first = balancer.pick(Some(7), &[])?;
    for load in 1..200 {
        let Some(slot) = balancer.pick(Some(7), &[])? else { return Ok(false) };
        if Some(slot) != first {
            return Ok(true);
        }
        balancer.set_in_flight(slot, load);
    }
    Ok(false)
}

fn counts_of(create: Create<'_>, endpoints: &[Endpoint]) -> Result<Vec<u64>, String> {
    count(&mut *with(create, endpoints)?, endpoints, 400)
}

fn is_within(counts: &[u64], expected: &[u64]) -> bool {
    counts.iter().zip(expected).all(|(count, expected)| count.abs_diff(*expected) <= 50)
}

fn is_smooth(create: Create<'_>) -> Result<bool, String> {
    for weights in [[5, 1, 1], [7, 3, 1]] {
        let endpoints = Endpoint::weighing(&weights);
        let mut balancer = with(create, &endpoints)?;
        let counts = count(&mut *balancer, &endpoints, weights.iter().sum::<u32>())?;
        if counts != weights.map(u64::from) || longest_run(&mut *balancer, &weights).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn warms_up(create: Create<'_>) -> Result<bool, String> {
    let mut endpoints = Endpoint::several(4);
    endpoints[1].ramp = 100;
    Ok((1..60).contains(&counts_of(create, &endpoints)?[1]) && counts_of(create, &Endpoint::several(4))?[1] >= 60)
}

fn begins_anywhere(create: Create<'_>) -> Result<bool, String> {
    let mut sequences = Vec::new();
    for worker in 0..4 {
        let mut balancer = create(worker)?;
        balancer.set_endpoints(&Endpoint::several(10))?;
        let picks = (0..20).map(|_| balancer.pick(None, &[])).collect::<Result<Vec<_>, _>>()?;
        sequences.push(picks);
    }
    Ok(sequences.iter().any(|sequence| *sequence != sequences[0]))
}

fn heeds_load(create: Create<'_>) -> Result<bool, String> {
    let endpoints = Endpoint::several(4);
    let mut balancer = with(create, &endpoints)?;
    let before = count(&mut *balancer, &endpoints, 400)?;
    balancer.set_in_flight(1, 1000);
    let loaded = count(&mut *balancer, &endpoints, 400)?;
    Ok(before[1] >= 50 && loaded[1] < 50)
}

fn heeds_latency(create: Create<'_>) -> Result<bool, String> {
    let mut balancer = with(create, &Endpoint::several(4))?;
    // Who takes no outcomes may still look at what the proxy has counted.
    let mut traffic = Traffic::new(&mut *balancer, vec![20, 200, 20, 20], false);
    traffic.pass(2000)?;
    let got = traffic.pass(2000)?;
    Ok(got[1] < got[0] / 2 && got[1] < got[2] / 2 && got[1] < got[3] / 2)
}
