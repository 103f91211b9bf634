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
    let draws = random_draws();
    assert_eq!(bench.pick_slot(None), Some(1));
    assert_eq!(bench.pick_again(None, &[1]), Some(1));
    assert_eq!(random_draws(), draws);
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

const FULL_SCAN: &str = r#"{"selection_method":"full_scan"}"#;

/// Chi squared of picks against weights.
fn chi_squared(shares: &[f64], weights: &[u32], picks: u32) -> f64 {
    let total = f64::from(weights.iter().sum::<u32>());
    let term = |(share, weight): (&f64, &u32)| {
        let expected = f64::from(picks) * f64::from(*weight) / total;
        (share * f64::from(picks) - expected).powi(2) / expected
    };
    shares.iter().zip(weights).map(term).sum()
}

#[test]
fn a_full_scan_finds_the_least_loaded_of_all() {
    let mut bench = bench(&[1; 50], FULL_SCAN);
    (0..50).for_each(|slot| set_in_flight(slot, 5));
    set_in_flight(33, 4);
    assert!((0..100).all(|_| bench.pick_slot(None) == Some(33)));
    assert!((0..100).all(|_| bench.pick_again(None, &[33]) != Some(33)));
}

#[test]
fn a_full_scan_draws_among_the_least_loaded_by_weight() {
    for weights in [[1, 1, 1, 1], [1, 2, 3, 4]] {
        let shares = shares(&mut bench(&weights, FULL_SCAN), 4, 100_000);
        // 3 degrees of freedom, alpha 1e-6.
        assert!(chi_squared(&shares, &weights, 100_000) < 30.7, "{weights:?}: {shares:?}");
    }
    let mut bench = bench(&[1, 2, 3, 4], FULL_SCAN);
    // 6/4 and 3/2 are as much; 2/1 and 5/3 are more.
    for (slot, load) in [(0, 2), (1, 3), (2, 5), (3, 6)] {
        set_in_flight(slot, load);
    }
    let shares = shares(&mut bench, 4, 30_000);
    assert_eq!((shares[0], shares[2]), (0.0, 0.0));
    assert!((shares[3] - 2.0 / 3.0).abs() < 0.02, "{shares:?}");
}

#[test]
fn a_bias_of_zero_is_weighted_round_robin_whatever_the_load() {
    let weights = [5, 1, 3];
    let mut bench = bench(&weights, r#"{"active_request_bias":0}"#);
    set_in_flight(0, 1000);
    let shares = shares(&mut bench, 3, 9000);
    for (share, weight) in shares.iter().zip(weights) {
        assert!((share * 9000.0 - f64::from(weight) * 1000.0).abs() <= 2.0, "{shares:?}");
    }
}

#[test]
fn a_bias_gives_shares_by_weight_and_load() {
    // Envoy's formula: weight / (under way + 1) ^ bias.
    for (config, expected) in [
        (r#"{"active_request_bias":1.0}"#, [4.0 / 4.0, 2.0 / 1.0, 1.0 / 2.0]),
        (r#"{"active_request_bias":2}"#, [4.0 / 16.0, 2.0 / 1.0, 1.0 / 4.0]),
        (r#"{"active_request_bias":0.5}"#, [4.0 / 2.0, 2.0 / 1.0, 1.0 / 2.0_f64.sqrt()]),
    ] {
        let mut bench = bench(&[4, 2, 1], config);
        set_in_flight(0, 3);
        set_in_flight(2, 1);
        // The first turns were given before the load was known.
        shares(&mut bench, 3, 100);
        let shares = shares(&mut bench, 3, 20_000);
        let total: f64 = expected.iter().sum();
        for (share, expected) in shares.iter().zip(expected) {
            assert!((share - expected / total).abs() < 0.002, "{config}: {shares:?}");
        }
    }
}

#[test]
fn a_bias_matters_only_where_weights_differ() {
    let mut bench = bench(&[3, 3], r#"{"active_request_bias":0}"#);
    set_in_flight(0, 1);
    assert!((0..50).all(|_| bench.pick_slot(None) == Some(1)));
}

#[test]
fn a_schedule_passes_over_what_was_tried() {
    let mut bench = bench(&[3, 2, 1], r#"{"active_request_bias":1}"#);
    for _ in 0..50 {
        assert_eq!(bench.pick_again(None, &[0, 2]), Some(1));
        assert!(bench.pick_again(None, &[0, 1, 2]).is_some());
    }
    assert!(bench.changes(&[Change::Removed(0), Change::Removed(1), Change::Removed(2)]));
    assert_eq!(bench.pick_slot(None), None);
}

#[test]
fn absurd_sets_have_a_defined_answer() {
    for config in ["", FULL_SCAN, r#"{"active_request_bias":100}"#] {
        assert_eq!(bench(&[], config).pick_slot(None), None);
        assert_eq!(bench(&[0, 0, 0], config).pick_slot(None), None);
        let mut heavy = bench(&[1 << 31, 1, u32::MAX], config);
        (0..3).for_each(|slot| set_in_flight(slot, u32::MAX));
        assert!((0..1000).all(|_| heavy.pick_slot(None).is_some()), "{config}");
        let mut many = bench(&(1..=10_000).collect::<Vec<_>>(), config);
        assert!((0..100).all(|_| many.pick_slot(None).is_some()), "{config}");
    }
}

#[test]
fn every_mistake_in_the_options_is_told() {
    let mistakes = |config| BalancerBench::<LeastRequest>::new(config).unwrap_err();
    let errors = mistakes(r#"{"choices":1,"active_request_bias":-1}"#);
    assert_eq!(errors.iter().map(|e| &e.path[..]).collect::<Vec<_>>(), ["/choices", "/active_request_bias"]);
    assert_eq!(errors[1].message, "expected 0 to 100");
    assert_eq!(mistakes(r#"{"selection_method":"all"}"#)[0].path, "/selection_method");
}
