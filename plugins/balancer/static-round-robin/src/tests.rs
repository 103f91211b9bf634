use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, seed};
use plimsoll_sdk::{Availability, Change};
use proptest::prelude::*;

use crate::StaticRoundRobin;
use crate::order::order;

const IN_ORDER: &str = r#"{"random_start":false}"#;

fn bench(weights: &[u32]) -> BalancerBench<StaticRoundRobin> {
    let mut bench = BalancerBench::new(IN_ORDER).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

fn letters(bench: &mut BalancerBench<StaticRoundRobin>, turns: usize) -> String {
    (0..turns).map(|_| bench.pick_slot(None).map_or('-', |slot| char::from(b'a' + slot as u8))).collect()
}

/// HAProxy's map, made literally.
fn haproxy(weights: &[u32]) -> Vec<u32> {
    let total: i64 = weights.iter().map(|&w| i64::from(w)).sum();
    let mut scores = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            let (mut best, mut most) = (None, 0);
            for (index, score) in scores.iter_mut().enumerate() {
                *score += i64::from(weights[index]);
                let value = (*score + total) / total;
                if best.is_none() || value > most {
                    (best, most) = (Some(index), value);
                }
            }
            let best = best.unwrap();
            scores[best] -= total;
            best as u32
        })
        .collect()
}

fn numbered(weights: &[u32]) -> Vec<(u32, u32)> {
    (0..).zip(weights.iter().copied()).collect()
}

#[test]
fn the_order_repeats() {
    assert_eq!(letters(&mut bench(&[1, 1, 1]), 7), "abcabca");
    assert_eq!(letters(&mut bench(&[5, 1, 1]), 14), "aaabaacaaabaac");
}

#[test]
fn a_new_weight_has_no_effect_while_the_endpoint_stays() {
    let mut bench = bench(&[2, 1]);
    let before = letters(&mut bench, 6);
    assert!(bench.changes(&[Change::Weight((1, 50))]));
    assert_eq!(letters(&mut bench, 6), before);
    // An endpoint that comes anew brings its weight.
    assert!(bench.changes(&[Change::Removed(1)]));
    let mut put = endpoint(1);
    put.weight = 3;
    assert!(bench.changes(&[Change::Put(put)]));
    assert_eq!(letters(&mut bench, 5).matches('b').count(), 3);
}

#[test]
fn weight_zero_takes_an_endpoint_out_and_any_other_brings_it_back() {
    let mut bench = bench(&[2, 1]);
    assert!(bench.changes(&[Change::Weight((0, 0))]));
    assert_eq!(letters(&mut bench, 3), "bbb");
    assert!(bench.changes(&[Change::Weight((0, 9))]));
    assert_eq!(letters(&mut bench, 6).matches('a').count(), 4);
}

#[test]
fn an_endpoint_that_warms_up_has_its_whole_share() {
    let mut bench = bench(&[1, 1]);
    assert!(bench.changes(&[Change::Ramp((1, 10))]));
    assert_eq!(letters(&mut bench, 4), "abab");
}

#[test]
fn an_endpoint_that_is_back_has_its_turn_within_a_round() {
    let mut bench = bench(&[1, 1, 1]);
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(letters(&mut bench, 4), "acac");
    assert!(bench.changes(&[Change::Availability((1, Availability::Ready))]));
    assert_eq!(letters(&mut bench, 3).matches('b').count(), 1);
}

#[test]
fn tried_endpoints_are_passed_over_until_there_is_no_other() {
    let mut bench = bench(&[5, 1, 1]);
    assert_eq!(bench.pick_slot(None), Some(0));
    assert_eq!(bench.pick_again(None, &[0]), Some(1));
    assert_eq!(bench.pick_again(None, &[0, 1]), Some(2));
    assert!(bench.pick_again(None, &[0, 1, 2]).is_some());
}

#[test]
fn workers_begin_at_different_places() {
    let mut counts = [0_u32; 4];
    for n in 0..8000 {
        seed(n);
        let mut bench = BalancerBench::<StaticRoundRobin>::new("").unwrap();
        bench.endpoints(&endpoints(&[3, 1, 2, 2]));
        counts[bench.pick_slot(None).unwrap() as usize] += 1;
    }
    let chi_squared: f64 = counts
        .iter()
        .zip([3000.0, 1000.0, 2000.0, 2000.0])
        .map(|(&n, expected): (_, f64)| (f64::from(n) - expected).powi(2) / expected)
        .sum();
    // 3 degrees of freedom, alpha 1e-6.
    assert!(chi_squared < 30.7, "{counts:?}: {chi_squared}");
}

#[test]
fn without_endpoints_there_is_no_choice() {
    assert_eq!(bench(&[]).pick_slot(None), None);
    assert_eq!(bench(&[0, 0]).pick_slot(None), None);
    assert_eq!(letters(&mut bench(&[0, 7]), 3), "bbb");
    assert_eq!(bench(&[0, 7]).pick_again(None, &[1]), Some(1));
}

#[test]
fn the_order_stays_short_whatever_the_weights() {
    let absurd = order(&numbered(&[65_535, 65_534, 1]));
    assert!(absurd.len() <= 1 << 14, "{}", absurd.len());
    let of = |slot| absurd.iter().filter(|s| **s == slot).count();
    assert!(of(0).abs_diff(of(1)) < 10 && of(2) == 1, "{} {} {}", of(0), of(1), of(2));
    let many: Vec<u32> = (1..=10_000).collect();
    assert!(order(&numbered(&many)).len() < 30_000);
    let mut bench = bench(&[1 << 31, u32::MAX, 1]);
    assert!((0..100).all(|_| bench.pick_slot(None).is_some()));
}

#[test]
fn unknown_options_are_refused() {
    let errors = BalancerBench::<StaticRoundRobin>::new(r#"{"random_start":1}"#).unwrap_err();
    assert_eq!(errors[0].path, "/random_start");
}

proptest! {
    #[test]
    fn the_order_is_haproxy_s(weights in prop::collection::vec(1u32..40, 1..20)) {
        // Weights with a common divisor repeat a shorter order.
        let expected = haproxy(&weights);
        let order = order(&numbered(&weights));
        let repeated: Vec<u32> = order.iter().copied().cycle().take(expected.len()).collect();
        prop_assert_eq!(repeated, expected);
        let total = weights.iter().sum::<u32>() as usize;
        prop_assert!(total.is_multiple_of(order.len()));
    }

    #[test]
    fn only_what_is_ready_and_untried_is_chosen(
        weights in prop::collection::vec(0u32..9, 1..12),
        tried in prop::collection::vec(0u32..12, 0..12),
    ) {
        let mut bench = bench(&weights);
        let usable: Vec<u32> = (0..).zip(&weights).filter(|(_, w)| **w > 0).map(|(slot, _)| slot).collect();
        let left: Vec<u32> = usable.iter().copied().filter(|slot| !tried.contains(slot)).collect();
        match bench.pick_again(None, &tried) {
            None => prop_assert!(usable.is_empty()),
            Some(slot) => prop_assert!(usable.contains(&slot) && (left.is_empty() || left.contains(&slot))),
        }
    }
}
