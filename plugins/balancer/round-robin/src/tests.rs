use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, seed};
use plimsoll_sdk::{Availability, Change};
use proptest::prelude::*;

use crate::RoundRobin;

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
