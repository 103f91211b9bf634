use std::collections::VecDeque;

use crate::memory::PAGE;
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Balancer, Endpoint, Outcome, OutcomeClass, Profile};

const ALL: &[Profile] = &[Profile::Balancer];

/// Whom traffic reaches, for how long, and what is kept of it. A balancer that fills endpoints one after the other claims
/// `balancer/packing`, and is held to what that means instead.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "B20",
        ALL,
        "with a key of its own for each request, every endpoint gets some of them, of 3, of 70 and of 1030",
        reaches_all_by_keys,
    ),
    Property::thorough(
        "B21",
        ALL,
        "without keys, every endpoint gets requests, of 3 and of 70",
        reaches_all_without_keys,
    ),
    Property::thorough("B22", ALL, "after 70 000 requests it still reaches every endpoint", goes_on_beyond_16_bits),
    Property::thorough(
        "B23",
        &[Profile::Least],
        "an idle endpoint is preferred to a loaded one, however large the load is",
        prefers_the_idle_one_at_any_load,
    ),
    Property::thorough(
        "B24",
        ALL,
        "an endpoint that has failed gets requests again some time after it has recovered",
        gives_another_chance,
    ),
    Property::thorough("B25", ALL, "memory does not grow with the number of different keys", keys_leave_nothing_behind),
    Property::thorough(
        "B26",
        ALL,
        "an endpoint that is told again, with another label, gets no more than before",
        counts_an_endpoint_once,
    ),
    Property::thorough(
        "B27",
        &[Profile::Packing],
        "further endpoints get something only while those before them are full",
        fills_one_after_the_other,
    ),
];

/// Requests for each endpoint. What is as uneven as a ring of hashes still gives the least of a thousand its share.
const EACH: u32 = 100;

/// Traffic of which each request takes a while, so that who goes by loads sees some.
struct Flow<'a> {
    balancer: &'a mut dyn Balancer,
    loads: Vec<u32>,
    under_way: VecDeque<u32>,
    most_under_way: usize,
    now_ms: u64,
    ended: Vec<Outcome>,
}

impl<'a> Flow<'a> {
    /// Towards endpoints whose slots are their places.
    fn new(balancer: &'a mut dyn Balancer, count: usize) -> Self {
        let most_under_way = 2 * count;
        Self {
            balancer,
            loads: vec![0; count],
            under_way: VecDeque::new(),
            most_under_way,
            now_ms: 1000,
            ended: Vec::new(),
        }
    }

    /// How many requests each endpoint gets, of so many with the keys that `key` makes.
    fn pass(&mut self, requests: u32, mut key: impl FnMut() -> Option<u64>) -> Result<Vec<u64>, String> {
        let mut got = vec![0; self.loads.len()];
        for number in 0..requests {
            self.now_ms += 1;
            self.balancer.set_now_ms(self.now_ms);
            if self.under_way.len() >= self.most_under_way {
                self.end_oldest();
            }
            if self.ended.len() >= 64 {
                self.tell_outcomes()?;
            }
            let chosen = self.balancer.pick(key(), &[]).map_err(|fault| format!("request {number}: {fault}"))?;
            let Some(slot) = chosen else { return Err(format!("request {number}: nobody, and all are ready")) };
            let Some(load) = self.loads.get_mut(slot as usize) else {
                return Err(format!("request {number}: slot {slot} of {}", got.len()));
            };
            *load += 1;
            self.balancer.set_in_flight(slot, *load);
            got[slot as usize] += 1;
            self.under_way.push_back(slot);
        }
        Ok(got)
    }

    fn end_oldest(&mut self) {
        if let Some(slot) = self.under_way.pop_front() {
            self.loads[slot as usize] -= 1;
            self.balancer.set_in_flight(slot, self.loads[slot as usize]);
            let class = OutcomeClass::Success;
            self.ended.push(Outcome { slot, class, status: 200, first_byte_us: 1000, total_us: 1000 });
        }
    }

    fn tell_outcomes(&mut self) -> Result<(), String> {
        self.balancer.outcomes(&self.ended)?;
        self.ended.clear();
        Ok(())
    }
}

fn packs(trial: &Trial<'_>) -> Result<(), Stop> {
    if trial.takes(Profile::Packing) { Err(Stop::Skipped("it claims to pack".into())) } else { Ok(()) }
}

fn who_gets_nothing(got: &[u64]) -> Option<String> {
    let starving: Vec<usize> = (0..got.len()).filter(|slot| got[*slot] == 0).collect();
    let first = starving.first()?;
    let requests: u64 = got.iter().sum();
    Some(format!(
        "{} of {} endpoints got none of {requests} requests, the first of them in slot {first}",
        starving.len(),
        got.len()
    ))
}

/// Sends requests until every endpoint has got one, or enough of them.
fn until_all_are_reached(
    flow: &mut Flow<'_>,
    count: u32,
    mut key: impl FnMut() -> Option<u64>,
) -> Result<Vec<u64>, String> {
    let mut got = vec![0; count as usize];
    for _ in 0..EACH {
        let more = flow.pass(count, &mut key)?;
        got.iter_mut().zip(more).for_each(|(got, more)| *got += more);
        if who_gets_nothing(&got).is_none() {
            break;
        }
    }
    Ok(got)
}

fn reaches_all_by_keys(trial: &mut Trial<'_>) -> Checked {
    reaches_all(trial, &[3, 70, 1030], true)
}

fn reaches_all_without_keys(trial: &mut Trial<'_>) -> Checked {
    reaches_all(trial, &[3, 70], false)
}

fn reaches_all(trial: &mut Trial<'_>, counts: &[u32], has_keys: bool) -> Checked {
    packs(trial)?;
    let mut keys = trial.random.fork();
    for count in counts {
        let mut balancer = trial.balancer()?;
        balancer.set_endpoints(&Endpoint::several(*count))?;
        let mut flow = Flow::new(&mut *balancer, *count as usize);
        let got = until_all_are_reached(&mut flow, *count, || has_keys.then(|| keys.u64(..)))?;
        if let Some(how) = who_gets_nothing(&got) {
            return Err(how.into());
        }
    }
    Ok(())
}

fn goes_on_beyond_16_bits(trial: &mut Trial<'_>) -> Checked {
    packs(trial)?;
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&Endpoint::several(5))?;
    let mut flow = Flow::new(&mut *balancer, 5);
    flow.pass(70_000, || None)?;
    let got = until_all_are_reached(&mut flow, 5, || None)?;
    who_gets_nothing(&got).map_or(Ok(()), |how| Err(how.into()))
}

fn prefers_the_idle_one_at_any_load(trial: &mut Trial<'_>) -> Checked {
    const PICKS: u32 = 40;
    // Just below and at each power of two: where products in 16, 32 or 64 bits come round.
    let loads = (6..32).flat_map(|power| [(1_u32 << power) - 1, 1 << power]).chain([u32::MAX]);
    trial.try_list(loads.collect(), |trial, loads: &[u32]| {
        for load in loads {
            let mut balancer = trial.balancer()?;
            balancer.set_endpoints(&Endpoint::several(2))?;
            balancer.set_in_flight(0, *load);
            let mut idle = 0;
            for _ in 0..PICKS {
                idle += u32::from(balancer.pick(None, &[])? == Some(1));
            }
            // Two random choices may be the same one.
            if idle <= PICKS / 2 {
                return Err(format!("the idle one of two got {idle} of {PICKS}, beside one with {load} under way"));
            }
        }
        Ok(())
    })
}

fn gives_another_chance(trial: &mut Trial<'_>) -> Checked {
    packs(trial)?;
    const FAILED: u32 = 1;
    const MINUTE_MS: u64 = 60_000;
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&Endpoint::several(4))?;
    let mut keys = trial.random.fork();
    for has_keys in [false, true] {
        let mut flow = Flow::new(&mut *balancer, 4);
        flow.pass(4 * EACH, || has_keys.then(|| keys.u64(..)))?;
        let class = OutcomeClass::ConnectFailure;
        let failure = Outcome { slot: FAILED, class, status: 0, first_byte_us: 0, total_us: 1000 };
        flow.balancer.outcomes(&[failure; 16])?;
        // An hour of other traffic.
        for _ in 0..60 {
            flow.now_ms += MINUTE_MS;
            flow.pass(40, || has_keys.then(|| keys.u64(..)))?;
        }
        let got = flow.pass(4 * EACH, || has_keys.then(|| keys.u64(..)))?;
        if got[FAILED as usize] == 0 {
            let how = format!("an hour after 16 failures, slot {FAILED} got none of {} requests", 4 * EACH);
            return Err(how.into());
        }
    }
    Ok(())
}

fn keys_leave_nothing_behind(trial: &mut Trial<'_>) -> Checked {
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&Endpoint::several(8))?;
    let size = |balancer: &dyn Balancer| Some(balancer.memory_bytes()? + balancer.table_bytes().unwrap_or(0));
    if size(&*balancer).is_none() {
        return Err(Stop::Skipped("the size of its memory is not known".into()));
    }
    let mut grown = Vec::new();
    let mut keys = 0;
    // A memory of so many may fill; who never forgets grows in every stage. What grows with any call is the affair of G5.
    for stage in [10_000, 20_000, 40_000, 80_000] {
        let mut sizes = vec![size(&*balancer).unwrap_or(0)];
        for differ in [false, true] {
            for _ in 0..stage {
                let key = if differ { trial.random.u64(..) } else { 7 };
                balancer.pick(Some(key), &[])?;
            }
            sizes.push(size(&*balancer).unwrap_or(0));
        }
        keys += stage;
        let (with_one, with_many) = (sizes[1] - sizes[0].min(sizes[1]), sizes[2] - sizes[1].min(sizes[2]));
        grown.push(with_many);
        if with_many <= with_one + PAGE {
            trial.measure("keys", f64::from(keys));
            trial.measure("bytes", sizes[2] as f64);
            return Ok(());
        }
    }
    Err(format!("it grew at each look, over {keys} different keys: by {grown:?} bytes").into())
}

fn counts_an_endpoint_once(trial: &mut Trial<'_>) -> Checked {
    packs(trial)?;
    const COUNT: u32 = 5;
    const AGAIN: usize = 2;
    let mut endpoints = Endpoint::several(COUNT);
    let mut keys = trial.random.fork();
    for has_keys in [false, true] {
        let mut balancer = trial.balancer()?;
        balancer.set_endpoints(&endpoints)?;
        for round in 0..10 {
            endpoints[AGAIN].metadata = vec![("round".into(), round.to_string())];
            balancer.set_endpoints(&endpoints)?;
        }
        let mut fresh = trial.balancer()?;
        fresh.set_endpoints(&endpoints)?;
        let mut share = |balancer: &mut dyn Balancer| -> Result<f64, String> {
            let requests = COUNT * 400;
            let got = Flow::new(balancer, COUNT as usize).pass(requests, || has_keys.then(|| keys.u64(..)))?;
            Ok(got[AGAIN] as f64 / f64::from(requests))
        };
        let (told_often, told_once) = (share(&mut *balancer)?, share(&mut *fresh)?);
        // Six times what chance does to a fifth of 2000.
        if told_often > told_once + 0.08 {
            let how = format!(
                "told ten times it gets {:.0} % of the requests, told once {:.0} %",
                100.0 * told_often,
                100.0 * told_once
            );
            return Err(how.into());
        }
    }
    Ok(())
}

fn fills_one_after_the_other(trial: &mut Trial<'_>) -> Checked {
    let mut endpoints = Endpoint::several(4);
    endpoints.iter_mut().for_each(|endpoint| endpoint.max_connections = 10);
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&endpoints)?;
    let mut loads = [0_u32; 4];
    for number in 0..40 {
        let chosen = balancer.pick(None, &[])?.and_then(|slot| loads.get_mut(slot as usize).map(|load| (slot, load)));
        let Some((slot, load)) = chosen else { return Err(format!("request {number}: nobody").into()) };
        *load += 1;
        balancer.set_in_flight(slot, *load);
        let begun = loads.iter().filter(|load| (1..10).contains(*load)).count();
        if begun > 1 {
            return Err(format!("request {number}: {loads:?} under way, each with room for 10").into());
        }
    }
    Ok(())
}
