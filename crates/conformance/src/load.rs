use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::shares::count;
use crate::statistics::margin;
use crate::trial::{Checked, Property, Trial};
use crate::{Balancer, Endpoint, Outcome, OutcomeClass, Profile};

/// Whether load and latency count.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "B11",
        &[Profile::Least],
        "attempts that do not end pile up nowhere: no endpoint has 10 more than the mean",
        piles_up_nowhere,
    ),
    Property::thorough(
        "B12",
        &[Profile::Least],
        "the idle endpoint is preferred, and the loaded one is only chosen where it was all that was looked at",
        prefers_the_idle_one,
    ),
    Property::thorough(
        "B13",
        &[Profile::Latency],
        "an endpoint ten times as slow gets a fifth of its share at most, and most of it again once it is well",
        avoids_the_slow_one_for_as_long_as_it_is_slow,
    ),
];

fn piles_up_nowhere(trial: &mut Trial<'_>) -> Checked {
    // With n endpoints and m attempts, two random choices stay within log log n of the mean, however many attempts there
    // are (P. Berenbrink, A. Czumaj, A. Steger, B. Vöcking, Balanced Allocations: The Heavily Loaded Case, 2006); one alone
    // is off by the root of 2 m/n ln n (M. Raab, A. Steger, Balls into Bins, 1998), which is 117 for a thousand endpoints
    // and a million attempts.
    const BOUND: f64 = 10.0;
    let (endpoints, each) = if trial.steps >= FULL_STEPS { (1000, 1000) } else { (200, 400) };
    let gap = gap(&mut *trial.balancer()?, endpoints, each)?;
    trial.measure("gap", gap);
    trial.measure("endpoints", endpoints.into());
    trial.measure("attempts", f64::from(endpoints * each));
    if gap > BOUND {
        return Err(format!(
            "of {} attempts to {endpoints} endpoints one got {gap} more than the mean",
            endpoints * each
        )
        .into());
    }
    Ok(())
}

/// Steps of a full run.
const FULL_STEPS: u32 = 100_000;

/// By how much the fullest endpoint is over the mean, once each has got so many attempts on average and none has ended.
fn gap(balancer: &mut dyn Balancer, endpoints: u32, each: u32) -> Result<f64, String> {
    balancer.set_endpoints(&Endpoint::several(endpoints))?;
    let mut loads = vec![0_u32; endpoints as usize];
    for number in 0..endpoints * each {
        let slot = balancer.pick(None, &[])?.ok_or_else(|| format!("pick {number}: nothing"))?;
        let load = loads.get_mut(slot as usize).ok_or_else(|| format!("pick {number}: slot {slot}"))?;
        *load += 1;
        balancer.set_in_flight(slot, *load);
    }
    let most = loads.iter().copied().max().unwrap_or(0);
    Ok(f64::from(most) - f64::from(each))
}

fn prefers_the_idle_one(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: u32 = 12;
    const PICKS: u32 = 12_000;
    // Two draws, and the second may be the first again.
    let all = f64::from(PICKS);
    let one = 1.0 / f64::from(ENDPOINTS);
    let (is_drawn, is_all_that_is_drawn) = (1.0 - (1.0 - one).powi(2), one.powi(2));
    let endpoints = Endpoint::several(ENDPOINTS);
    let counted = |load_of_one: u32, load: u32| -> Result<f64, String> {
        let mut balancer = trial.balancer()?;
        balancer.set_endpoints(&endpoints)?;
        endpoints.iter().for_each(|e| balancer.set_in_flight(e.slot, if e.slot == 5 { load_of_one } else { load }));
        Ok(count(&mut *balancer, &endpoints, PICKS)?[5] as f64)
    };
    let (idle, loaded) = (counted(0, 1000)?, counted(1000, 1)?);
    trial.measure("share of the idle one", idle / all);
    trial.measure("share of the loaded one", loaded / all);
    if idle < all * is_drawn - margin(all, is_drawn) {
        return Err(format!("the idle one of {ENDPOINTS} was chosen {idle} times in {PICKS}").into());
    }
    if loaded > all * is_all_that_is_drawn + margin(all, is_all_that_is_drawn) {
        return Err(format!("the loaded one of {ENDPOINTS} was chosen {loaded} times in {PICKS}").into());
    }
    Ok(())
}

/// Requests that come at even distances, and endpoints that answer each after a time of their own.
pub(crate) struct Traffic<'a> {
    balancer: &'a mut dyn Balancer,
    /// Of each slot.
    pub(crate) answer_ms: Vec<u64>,
    in_flight: Vec<u32>,
    /// When, where, and after how long.
    under_way: BinaryHeap<Reverse<(u64, u32, u64)>>,
    pub(crate) now_ms: u64,
    counts_loads: bool,
}

const REQUEST_EVERY_MS: u64 = 2;
const OUTCOMES_EVERY_MS: u64 = 20;

impl<'a> Traffic<'a> {
    /// With the loads that come of it, or without any.
    pub(crate) fn new(balancer: &'a mut dyn Balancer, answer_ms: Vec<u64>, counts_loads: bool) -> Self {
        let in_flight = vec![0; answer_ms.len()];
        Self { balancer, answer_ms, in_flight, under_way: BinaryHeap::new(), now_ms: 100_000, counts_loads }
    }

    /// Lets so much time pass; answers how many requests each endpoint got.
    pub(crate) fn pass(&mut self, ms: u64) -> Result<Vec<u64>, String> {
        let mut got = vec![0; self.answer_ms.len()];
        let mut batch = Vec::new();
        for _ in 0..ms / REQUEST_EVERY_MS {
            self.now_ms += REQUEST_EVERY_MS;
            self.balancer.set_now_ms(self.now_ms);
            while let Some(Reverse((_, slot, took_ms))) =
                self.under_way.peek().copied().filter(|next| next.0.0 <= self.now_ms)
            {
                self.under_way.pop();
                self.load(slot, -1);
                let us = took_ms as u32 * 1000;
                batch.push(Outcome {
                    slot,
                    class: OutcomeClass::Success,
                    status: 200,
                    first_byte_us: us,
                    total_us: us,
                });
            }
            if self.now_ms.is_multiple_of(OUTCOMES_EVERY_MS) && !batch.is_empty() {
                self.balancer.outcomes(&batch)?;
                batch.clear();
            }
            let Some(slot) = self.balancer.pick(None, &[])? else { continue };
            let Some(took_ms) = self.answer_ms.get(slot as usize).copied() else {
                return Err(format!("slot {slot} of {} endpoints", self.answer_ms.len()));
            };
            got[slot as usize] += 1;
            self.load(slot, 1);
            self.under_way.push(Reverse((self.now_ms + took_ms, slot, took_ms)));
        }
        Ok(got)
    }

    fn load(&mut self, slot: u32, more: i32) {
        let load = &mut self.in_flight[slot as usize];
        *load = load.saturating_add_signed(more);
        if self.counts_loads {
            self.balancer.set_in_flight(slot, *load);
        }
    }
}

fn avoids_the_slow_one_for_as_long_as_it_is_slow(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: usize = 5;
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&Endpoint::several(ENDPOINTS as u32))?;
    let mut traffic = Traffic::new(&mut *balancer, vec![20; ENDPOINTS], true);
    let share = |got: Vec<u64>| got[2] as f64 * ENDPOINTS as f64 / got.iter().sum::<u64>().max(1) as f64;
    traffic.pass(2000)?;
    traffic.answer_ms[2] = 200;
    traffic.pass(5000)?;
    let slow = share(traffic.pass(5000)?);
    traffic.answer_ms[2] = 20;
    traffic.pass(30_000)?;
    let well = share(traffic.pass(5000)?);
    trial.measure("share while slow", slow);
    trial.measure("share when well", well);
    if slow > 0.2 {
        return Err(
            format!("10 times as slow as the others it gets {:.0} % of a fair share after 5 s", 100.0 * slow).into()
        );
    }
    if well < 0.8 {
        return Err(format!("30 s after it is well again it gets {:.0} % of a fair share", 100.0 * well).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least loaded of so many random choices.
    struct Dice {
        choices: usize,
        random: fastrand::Rng,
        loads: Vec<u32>,
    }

    impl Balancer for Dice {
        fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), String> {
            self.loads = vec![0; endpoints.len()];
            Ok(())
        }

        fn replace_endpoints(&mut self, _: u64, endpoints: &[Endpoint]) -> Result<(), String> {
            self.set_endpoints(endpoints)
        }

        fn remove(&mut self, _: u64, _: u32) -> Result<bool, String> {
            Ok(false)
        }

        fn generation(&self) -> u64 {
            1
        }

        fn pick(&mut self, _: Option<u64>, _: &[u32]) -> Result<Option<u32>, String> {
            let (random, count) = (&mut self.random, self.loads.len());
            let drawn = (0..self.choices).map(|_| random.usize(..count));
            Ok(drawn.min_by_key(|slot| self.loads[*slot]).map(|slot| slot as u32))
        }

        fn wants_outcomes(&self) -> bool {
            false
        }

        fn outcomes(&mut self, _: &[Outcome]) -> Result<(), String> {
            Ok(())
        }

        fn save(&mut self) -> Result<Vec<u8>, String> {
            Ok(Vec::new())
        }

        fn restore(&mut self, _: &[u8]) -> Result<bool, String> {
            Ok(false)
        }

        fn create_again(&mut self) -> Result<(), String> {
            Ok(())
        }

        fn set_in_flight(&mut self, slot: u32, attempts: u32) {
            self.loads[slot as usize] = attempts;
        }

        fn set_now_ms(&mut self, _: u64) {}

        fn memory_bytes(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn the_gaps_are_those_of_theory() {
        let gap_of = |choices, seed| {
            let mut dice = Dice { choices, random: fastrand::Rng::with_seed(seed), loads: Vec::new() };
            gap(&mut dice, 1000, 1000).expect("a gap")
        };
        for seed in 0..3 {
            let (one, two) = (gap_of(1, seed), gap_of(2, seed));
            assert!((85.0..160.0).contains(&one), "one choice: {one}");
            assert!((1.0..=10.0).contains(&two), "two choices: {two}");
        }
    }
}
