use std::cmp::Reverse;
use std::collections::BinaryHeap;

use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, reset, seed, set_in_flight, set_now_ms};
use plimsoll_sdk::{Availability, Change, Outcome, OutcomeClass};
use proptest::prelude::*;

use crate::PeakEwma;

fn bench(weights: &[u32], config: &str) -> BalancerBench<PeakEwma> {
    reset();
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

fn outcome(slot: u32, class: OutcomeClass, first_byte_us: u32, total_us: u32) -> Outcome {
    Outcome { slot, class, status: 200, first_byte_us, total_us }
}

fn answered(slot: u32, us: u32) -> Outcome {
    outcome(slot, OutcomeClass::Success, us, us)
}

/// Requests that come and go, in simulated time, told to the policy as the host would.
struct Simulation {
    bench: BalancerBench<PeakEwma>,
    now_us: u64,
    random: u64,
    /// When, slot, class, how long.
    under_way: BinaryHeap<Reverse<(u64, u32, bool, u32)>>,
    in_flight: Vec<u32>,
    batch: Vec<Outcome>,
    batch_since_us: u64,
}

impl Simulation {
    fn new(bench: BalancerBench<PeakEwma>, endpoints: usize, number: u64) -> Self {
        seed(number);
        Self {
            bench,
            now_us: 0,
            random: number,
            under_way: BinaryHeap::new(),
            in_flight: vec![0; endpoints],
            batch: Vec::new(),
            batch_since_us: 0,
        }
    }

    /// In (0, 1].
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.random >> 33) + 1) as f64 / (1_u64 << 31) as f64
    }

    /// Answers what each endpoint got. `serve` says how long an attempt takes there in the mean, and whether it fails.
    fn run(&mut self, seconds: f64, per_second: f64, serve: impl Fn(u32) -> (f64, bool)) -> Vec<u32> {
        let mut got = vec![0; self.in_flight.len()];
        let end = self.now_us + (seconds * 1e6) as u64;
        loop {
            let gap = (-self.uniform().ln() * 1e6 / per_second) as u64;
            let arrival = self.now_us + gap;
            while let Some(Reverse((at, slot, failed, took))) = self.under_way.peek().copied() {
                if at > arrival {
                    break;
                }
                self.under_way.pop();
                self.at(at);
                self.in_flight[slot as usize] -= 1;
                set_in_flight(slot, self.in_flight[slot as usize]);
                let class = if failed { OutcomeClass::ConnectFailure } else { OutcomeClass::Success };
                self.batch.push(outcome(slot, class, took, took));
            }
            self.at(arrival);
            if arrival > end {
                return got;
            }
            let slot = self.bench.pick_slot(None).unwrap();
            got[slot as usize] += 1;
            self.in_flight[slot as usize] += 1;
            set_in_flight(slot, self.in_flight[slot as usize]);
            let (mean_us, fails) = serve(slot);
            let took = (mean_us * (0.5 + self.uniform())) as u64;
            self.under_way.push(Reverse((arrival + took, slot, fails, took as u32)));
        }
    }

    fn at(&mut self, now_us: u64) {
        self.now_us = now_us;
        set_now_ms(now_us / 1000);
        if now_us >= self.batch_since_us + 20_000 || self.batch.len() == 1024 {
            self.bench.outcomes(&std::mem::take(&mut self.batch));
            self.batch_since_us = now_us;
        }
    }
}

#[test]
fn the_faster_of_two_is_taken() {
    let mut bench = bench(&[1, 1], "");
    assert!(bench.wants_outcomes());
    bench.outcomes(&[answered(0, 20_000), answered(1, 10_000)]);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(1)));
    // Two under way make it as costly as 30 ms.
    set_in_flight(1, 2);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(0)));
}

#[test]
fn a_peak_counts_at_once_and_is_forgotten_in_time() {
    let mut bench = bench(&[1, 1], "");
    bench.outcomes(&[answered(0, 10_000), answered(1, 11_000)]);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(0)));
    set_now_ms(20);
    bench.outcomes(&[answered(0, 200_000), answered(0, 10_000)]);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(1)));
    // It is not asked any more, the other one is.
    let back = (1..600).map(|n| n * 100).find(|now_ms| {
        set_now_ms(*now_ms);
        bench.outcomes(&[answered(1, 11_000)]);
        bench.pick_slot(None) == Some(0)
    });
    let back = back.unwrap();
    // 200 ms fade to 11 ms in 2.9 times 10 s.
    assert!((28_000..31_000).contains(&back), "{back}");
}

#[test]
fn the_time_to_the_last_byte_can_count_instead() {
    for (config, faster) in [("", 0), (r#"{"time":"last_byte"}"#, 1)] {
        let mut bench = bench(&[1, 1], config);
        bench.outcomes(&[
            outcome(0, OutcomeClass::Success, 1000, 90_000),
            outcome(1, OutcomeClass::Success, 2000, 3000),
        ]);
        assert!((0..50).all(|_| bench.pick_slot(None) == Some(faster)), "{config}");
    }
}

#[test]
fn a_slow_endpoint_is_shunned_within_seconds_and_back_in_half_a_minute() {
    for number in 0..3 {
        let mut simulation = Simulation::new(bench(&[1; 10], ""), 10, number);
        let serve = |slow: bool| move |slot| (if slot == 4 && slow { 100_000.0 } else { 10_000.0 }, false);
        let fair = |got: &[u32]| f64::from(got[4]) * 10.0 / f64::from(got.iter().sum::<u32>());
        simulation.run(5.0, 500.0, serve(false));
        let got = simulation.run(5.0, 500.0, serve(true));
        assert!(fair(&got) <= 0.2, "{got:?}");
        simulation.run(20.0, 500.0, serve(true));
        simulation.run(30.0, 500.0, serve(false));
        let got = simulation.run(10.0, 500.0, serve(false));
        assert!(fair(&got) >= 0.8, "{got:?}");
    }
}

#[test]
fn equal_endpoints_get_equal_shares() {
    for per_second in [20.0, 3000.0] {
        let mut simulation = Simulation::new(bench(&[1; 5], ""), 5, 7);
        let got = simulation.run(60_000.0 / per_second, per_second, |_| (8000.0, false));
        let (most, least) = (got.iter().max().unwrap(), got.iter().min().unwrap());
        assert!(f64::from(*most) < 1.5 * f64::from(*least), "{per_second}: {got:?}");
    }
}

#[test]
fn shares_under_load_follow_the_weights() {
    let mut simulation = Simulation::new(bench(&[1, 1, 2, 4], ""), 4, 3);
    let got = simulation.run(20.0, 3000.0, |_| (8000.0, false));
    let total = f64::from(got.iter().sum::<u32>());
    for (got, weight) in got.iter().zip([1.0, 1.0, 2.0, 4.0]) {
        let share = f64::from(*got) / total;
        assert!((share - weight / 8.0).abs() < 0.04, "{share} for weight {weight}");
    }
}

#[test]
fn an_endpoint_that_comes_under_load_is_not_stormed() {
    let mut simulation = Simulation::new(bench(&[1; 9], ""), 10, 5);
    simulation.run(5.0, 3000.0, |_| (10_000.0, false));
    assert!(simulation.bench.changes(&[Change::Put(endpoint(9))]));
    // It needs 200 ms for each answer at first: nothing is known until then.
    let got = simulation.run(0.2, 3000.0, |slot| (if slot == 9 { 200_000.0 } else { 10_000.0 }, false));
    assert!(simulation.in_flight[9] <= 12, "{:?}", simulation.in_flight);
    assert!(got[9] > 0, "{got:?}");
}

#[test]
fn an_endpoint_that_is_back_counts_as_new() {
    let mut bench = bench(&[1, 1], "");
    bench.outcomes(&[answered(0, 900_000), answered(1, 10_000)]);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(1)));
    for availability in [Availability::Unavailable, Availability::Ready] {
        assert!(bench.changes(&[Change::Availability((0, availability))]));
        bench.outcomes(&[answered(1, 10_000)]);
    }
    assert!((0..50).any(|_| bench.pick_slot(None) == Some(0)));
}

#[test]
fn failing_fast_is_not_being_fast() {
    let mut simulation = Simulation::new(bench(&[1; 5], ""), 5, 11);
    simulation.run(2.0, 500.0, |_| (10_000.0, false));
    let got = simulation.run(10.0, 500.0, |slot| if slot == 2 { (50.0, true) } else { (10_000.0, false) });
    let share = f64::from(got[2]) / f64::from(got.iter().sum::<u32>());
    assert!(share < 0.4, "{got:?}");
}

#[test]
fn nobody_is_taken_to_be_faster_than_half_the_mean_for_not_being_asked() {
    let mut bench = bench(&[1, 1], "");
    bench.outcomes(&[answered(0, 1000), answered(1, 10_000)]);
    set_now_ms(10_000_000);
    bench.outcomes(&[]);
    // What was 10 ms has faded to 2.75 ms, what was 1 ms has not faded.
    set_in_flight(0, 1);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(0)));
    set_in_flight(0, 2);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(1)));
}

#[test]
fn tried_endpoints_are_passed_over_until_there_is_no_other() {
    let mut bench = bench(&[1, 1, 1], "");
    bench.outcomes(&[answered(0, 1), answered(1, 1000), answered(2, 100_000)]);
    for _ in 0..50 {
        assert_eq!(bench.pick_again(None, &[0, 1]), Some(2));
        assert!(bench.pick_again(None, &[0]).is_some_and(|slot| slot > 0));
        assert!(bench.pick_again(None, &[0, 1, 2]).is_some());
    }
}

#[test]
fn absurd_input_has_a_defined_answer() {
    assert_eq!(bench(&[], "").pick_slot(None), None);
    assert_eq!(bench(&[0, 0], "").pick_again(None, &[1]), None);
    assert_eq!(bench(&[0, 1], "").pick_again(None, &[1]), Some(1));
    let mut heavy = bench(&[1 << 31, u32::MAX, 1], "");
    (0..3).for_each(|slot| set_in_flight(slot, u32::MAX));
    set_now_ms(u64::MAX);
    heavy.outcomes(&[answered(0, u32::MAX), answered(1, 0), answered(77, 5)]);
    set_now_ms(0);
    heavy.outcomes(&[outcome(2, OutcomeClass::Timeout, u32::MAX, u32::MAX), outcome(1, OutcomeClass::Reset, 0, 0)]);
    heavy.outcomes(&[outcome(0, OutcomeClass::ClientAbort, 1, 1)]);
    heavy.outcomes(&[]);
    assert!((0..100).all(|_| heavy.pick_slot(None).is_some()));
    let mut many = bench(&vec![1; 10_000], "");
    many.outcomes(&(0..1024).map(|slot| answered(slot, 1000)).collect::<Vec<_>>());
    assert!((0..100).all(|_| many.pick_slot(None).is_some()));
    assert!(many.changes(&[Change::Removed(3), Change::Removed(3), Change::Put(endpoint(3)), Change::Weight((3, 9))]));
    assert!(many.pick_slot(None).is_some());
}

#[test]
fn every_mistake_in_the_options_is_told() {
    let mistakes = |config| BalancerBench::<PeakEwma>::new(config).unwrap_err();
    let errors = mistakes(r#"{"decay":"1ms","default_time":"2h"}"#);
    assert_eq!(errors[0].path, "/decay");
    assert_eq!(errors[0].message, "expected 100ms to 1h, not 1ms");
    assert_eq!(errors[1].path, "/default_time");
    assert_eq!(mistakes(r#"{"time":"body"}"#)[0].path, "/time");
}

proptest! {
    #[test]
    fn only_what_is_ready_and_untried_is_chosen(
        weights in prop::collection::vec(0u32..1000, 1..8),
        tried in prop::collection::vec(0u32..8, 0..8),
        times in prop::collection::vec((0u32..8, any::<u32>()), 0..20),
    ) {
        let mut bench = bench(&weights, "");
        bench.outcomes(&times.into_iter().map(|(slot, us)| answered(slot, us)).collect::<Vec<_>>());
        let usable: Vec<u32> = (0..).zip(&weights).filter(|(_, w)| **w > 0).map(|(slot, _)| slot).collect();
        let left: Vec<u32> = usable.iter().copied().filter(|slot| !tried.contains(slot)).collect();
        match bench.pick_again(None, &tried) {
            None => prop_assert!(usable.is_empty()),
            Some(slot) => prop_assert!(usable.contains(&slot) && (left.is_empty() || left.contains(&slot))),
        }
    }
}
