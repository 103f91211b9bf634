use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, seed};
use plimsoll_sdk::{Availability, Change, Ready};
use proptest::prelude::*;

use crate::sequence::Sequence;
use crate::{MOST_LOOKS, RoundRobin, places_to_start};

const IN_ORDER: &str = r#"{"random_start":false}"#;

fn bench(weights: &[u32]) -> BalancerBench<RoundRobin> {
    let mut bench = BalancerBench::new(IN_ORDER).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

fn letters(bench: &mut BalancerBench<RoundRobin>, turns: usize) -> String {
    (0..turns).map(|_| bench.pick_slot(None).map_or('-', |slot| char::from(b'a' + slot as u8))).collect()
}

/// nginx's `ngx_http_upstream_get_peer`, to the letter.
struct Nginx(Vec<(i64, i64)>);

impl Nginx {
    fn turn(&mut self, tried: &[u32]) -> Option<u32> {
        let (mut total, mut best) = (0, None);
        for (slot, (weight, current)) in self.0.iter_mut().enumerate() {
            if tried.contains(&(slot as u32)) || *weight == 0 {
                continue;
            }
            *current += *weight;
            total += *weight;
            if best.is_none_or(|(_, most)| *current > most) {
                best = Some((slot, *current));
            }
        }
        let (slot, _) = best?;
        self.0[slot].1 -= total;
        Some(slot as u32)
    }
}

#[test]
fn weights_five_one_one_give_the_known_sequence() {
    assert_eq!(letters(&mut bench(&[5, 1, 1]), 14), "aabacaaaabacaa");
    assert_eq!(letters(&mut bench(&[1, 1, 1]), 6), "abcabc");
}

#[test]
fn weight_zero_and_endpoints_that_are_not_ready_get_nothing() {
    let mut bench = bench(&[1, 0, 1, 1]);
    assert!(bench.changes(&[Change::Availability((3, Availability::Draining))]));
    assert_eq!(letters(&mut bench, 4), "acac");
    bench.endpoints(&[]);
    assert_eq!(bench.pick_slot(None), None);
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
fn those_that_stay_keep_their_turn() {
    let mut bench = bench(&[1, 1, 1, 1]);
    assert_eq!(letters(&mut bench, 2), "ab");
    assert!(bench.changes(&[Change::Removed(0), Change::Put(endpoint(4))]));
    // c and d have waited longest.
    assert_eq!(letters(&mut bench, 2), "cd");
}

#[test]
fn a_random_start_begins_within_the_same_sequence() {
    let round = letters(&mut bench(&[5, 1, 1]), 14);
    let starts: std::collections::BTreeSet<String> = (0..50)
        .map(|n| {
            seed(n);
            let mut bench = BalancerBench::new("").unwrap();
            bench.endpoints(&endpoints(&[5, 1, 1]));
            letters(&mut bench, 7)
        })
        .collect();
    assert!(starts.iter().all(|start| round.contains(start)));
    assert!(starts.len() > 3, "{starts:?}");
}

#[test]
fn the_first_turns_of_many_workers_are_spread_by_the_weights() {
    let weights = [5u32, 1, 1, 3];
    let mut counts = [0u32; 4];
    for n in 0..8000 {
        seed(n);
        let mut bench = BalancerBench::<RoundRobin>::new("").unwrap();
        bench.endpoints(&endpoints(&weights));
        counts[bench.pick_slot(None).unwrap() as usize] += 1;
    }
    let expected = |weight: u32| 8000.0 * f64::from(weight) / 10.0;
    let chi_squared: f64 =
        counts.iter().zip(weights).map(|(&n, w)| (f64::from(n) - expected(w)).powi(2) / expected(w)).sum();
    // 3 degrees of freedom, alpha 1e-6.
    assert!(chi_squared < 30.7, "{counts:?}: {chi_squared}");
}

#[test]
fn workers_together_keep_to_the_weights_at_any_moment() {
    let weights = [3u32, 2, 2, 1];
    let mut workers: Vec<_> = (0..16)
        .map(|n| {
            seed(n);
            let mut bench = BalancerBench::<RoundRobin>::new("").unwrap();
            bench.endpoints(&endpoints(&weights));
            bench
        })
        .collect();
    let mut counts = [0u32; 4];
    for turn in 1..=100u32 {
        workers.iter_mut().for_each(|worker| counts[worker.pick_slot(None).unwrap() as usize] += 1);
        for (count, weight) in counts.iter().zip(weights) {
            let share = f64::from(*count) / f64::from(16 * turn);
            let expected = f64::from(weight) / 8.0;
            assert!(turn < 8 || (share - expected).abs() <= 0.05, "turn {turn}: {counts:?}");
        }
    }
}

#[test]
fn a_random_start_looks_at_a_bounded_number_of_weights() {
    let places = |weights: &[u32]| {
        let ready = |(slot, &weight)| Ready { slot, id_hash: 0, weight };
        let mut sequence = Sequence::default();
        sequence.update(&(0..).zip(weights).map(ready).collect::<Vec<_>>());
        places_to_start(&sequence)
    };
    assert_eq!(places(&[5, 1, 1]), 7);
    assert_eq!(places(&[1; 10_000]), 10_000);
    assert_eq!(places(&(1..=10_000).collect::<Vec<_>>()), MOST_LOOKS / 10_000);
    assert_eq!(places(&[]), 1);
}

#[test]
fn absurd_weights_are_taken_for_the_largest_allowed() {
    let mut bench = bench(&[1 << 31, u32::MAX, 0, 65_535]);
    assert_eq!(letters(&mut bench, 6), "abdabd");
}

#[test]
fn unknown_options_are_refused() {
    let errors = BalancerBench::<RoundRobin>::new(r#"{"start":1}"#).unwrap_err();
    assert_eq!(errors[0].path, "/start");
}

proptest! {
    #[test]
    fn every_turn_is_nginx_s(
        weights in prop::collection::vec(0u32..9, 1..12),
        tries in prop::collection::vec(prop::collection::vec(0u32..12, 0..4), 1..80),
    ) {
        let mut bench = bench(&weights);
        let mut nginx = Nginx(weights.iter().map(|&weight| (weight.into(), 0)).collect());
        for tried in tries {
            let expected = if tried.is_empty() {
                nginx.turn(&[])
            } else {
                nginx.turn(&tried).or_else(|| nginx.turn(&[]))
            };
            let got = if tried.is_empty() { bench.pick_slot(None) } else { bench.pick_again(None, &tried) };
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_round_is_in_exact_proportion(weights in prop::collection::vec(1u32..50, 1..20)) {
        let mut bench = bench(&weights);
        let mut counts = vec![0; weights.len()];
        for _ in 0..weights.iter().sum() {
            counts[bench.pick_slot(None).unwrap() as usize] += 1;
        }
        prop_assert_eq!(counts, weights);
    }
}
