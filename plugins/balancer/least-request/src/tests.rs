use plimsoll_sdk::testing::{BalancerBench, endpoints, random_draws, set_in_flight};
use plimsoll_sdk::{Availability, Change};
use proptest::prelude::*;

use crate::LeastRequest;

fn bench(weights: &[u32], config: &str) -> BalancerBench<LeastRequest> {
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

fn shares(bench: &mut BalancerBench<LeastRequest>, endpoints: usize, picks: u32) -> Vec<f64> {
    let mut counts = vec![0u32; endpoints];
    for _ in 0..picks {
        counts[bench.pick_slot(None).unwrap() as usize] += 1;
    }
    counts.iter().map(|&count| f64::from(count) / f64::from(picks)).collect()
}

#[test]
fn the_less_loaded_of_two_is_taken() {
    let mut bench = bench(&[1, 1], "");
    set_in_flight(0, 3);
    set_in_flight(1, 2);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(1)));
}

#[test]
fn load_counts_for_the_weight() {
    let mut bench = bench(&[4, 1], "");
    set_in_flight(0, 7);
    set_in_flight(1, 2);
    assert_eq!(bench.pick_slot(None), Some(0));
    set_in_flight(0, 9);
    assert_eq!(bench.pick_slot(None), Some(1));
}

#[test]
fn a_single_endpoint_needs_no_draw() {
    let mut bench = bench(&[0, 5, 0], "");
    assert_eq!(bench.pick_slot(None), Some(1));
    assert_eq!(bench.pick_again(None, &[1]), Some(1));
    assert_eq!(random_draws(), 0);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.pick_slot(None), None);
}

#[test]
fn without_load_the_shares_are_those_of_the_weights() {
    for weights in [&[1u32, 1, 1, 1][..], &[5, 1], &[10, 1, 1, 4, 7]] {
        for config in ["", r#"{"choices":3}"#] {
            let total: u32 = weights.iter().sum();
            let shares = shares(&mut bench(weights, config), weights.len(), 40_000);
            for (share, &weight) in shares.iter().zip(weights) {
                let expected = f64::from(weight) / f64::from(total);
                assert!((share - expected).abs() < 0.02, "{weights:?} {config}: {shares:?}");
            }
        }
    }
}

#[test]
fn more_choices_find_the_idle_one_more_often() {
    let idle = |config| {
        let mut bench = bench(&[1; 10], config);
        (0..10).for_each(|slot| set_in_flight(slot, u32::from(slot != 6)));
        shares(&mut bench, 10, 20_000)[6]
    };
    let (two, five) = (idle(""), idle(r#"{"choices":5}"#));
    assert!((two - 0.2).abs() < 0.02, "{two}");
    assert!(five > 0.38, "{five}");
}

#[test]
fn choices_out_of_range_are_refused() {
    for choices in [0, 1, 17] {
        let errors = BalancerBench::<LeastRequest>::new(&format!(r#"{{"choices":{choices}}}"#)).unwrap_err();
        assert_eq!(errors[0].path, "/choices");
    }
}

proptest! {
    #[test]
    fn tried_endpoints_are_chosen_only_when_there_is_no_other(
        weights in prop::collection::vec(0u32..1000, 1..8),
        tried in prop::collection::vec(0u32..8, 1..8),
    ) {
        let mut bench = bench(&weights, "");
        let usable: Vec<u32> = (0..).zip(&weights).filter(|(_, w)| **w > 0).map(|(slot, _)| slot).collect();
        let left: Vec<u32> = usable.iter().copied().filter(|slot| !tried.contains(slot)).collect();
        let picked = bench.pick_again(None, &tried);
        match (&left[..], &usable[..]) {
            ([], []) => prop_assert_eq!(picked, None),
            ([], usable) => prop_assert!(usable.contains(&picked.unwrap())),
            (left, _) => prop_assert!(left.contains(&picked.unwrap())),
        }
    }
}
