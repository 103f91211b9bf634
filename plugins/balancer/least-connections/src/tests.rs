use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, reset, seed, set_in_flight};
use plimsoll_sdk::{Availability, Change};
use proptest::prelude::*;

use crate::LeastConnections;

const IN_ORDER: &str = r#"{"random_start":false}"#;

fn bench(weights: &[u32]) -> BalancerBench<LeastConnections> {
    let mut bench = BalancerBench::new(IN_ORDER).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

fn letters(bench: &mut BalancerBench<LeastConnections>, turns: usize) -> String {
    (0..turns).map(|_| bench.pick_slot(None).map_or('-', |slot| char::from(b'a' + slot as u8))).collect()
}

/// nginx's `ngx_http_upstream_get_least_conn_peer`: weight, connections, current weight.
struct Nginx(Vec<(u64, u64, i64)>);

impl Nginx {
    fn pick(&mut self, tried: &[u32]) -> Option<u32> {
        let open = |slot: usize, weight: u64| weight > 0 && !tried.contains(&(slot as u32));
        let (mut best, mut many): (Option<usize>, bool) = (None, false);
        for (slot, &(weight, connections, _)) in self.0.iter().enumerate() {
            if !open(slot, weight) {
                continue;
            }
            match best.map(|best| (connections * self.0[best].0).cmp(&(self.0[best].1 * weight))) {
                None | Some(std::cmp::Ordering::Less) => (best, many) = (Some(slot), false),
                Some(std::cmp::Ordering::Equal) => many = true,
                Some(std::cmp::Ordering::Greater) => {}
            }
        }
        let first = best?;
        let mut chosen = first;
        let mut total = 0;
        if many {
            for slot in first..self.0.len() {
                let (weight, connections, _) = self.0[slot];
                if !open(slot, weight) || connections * self.0[chosen].0 != self.0[chosen].1 * weight {
                    continue;
                }
                self.0[slot].2 += weight as i64;
                total += weight as i64;
                if self.0[slot].2 > self.0[chosen].2 {
                    chosen = slot;
                }
            }
        }
        self.0[chosen].2 -= total;
        Some(chosen as u32)
    }
}

#[test]
fn the_least_loaded_for_its_weight_is_taken() {
    let mut bench = bench(&[4, 1, 2]);
    for (slot, load) in [(0, 7), (1, 2), (2, 4)] {
        set_in_flight(slot, load);
    }
    assert_eq!(letters(&mut bench, 3), "aaa");
    set_in_flight(0, 9);
    assert_eq!(letters(&mut bench, 2), "cb");
    set_in_flight(1, 3);
    assert_eq!(letters(&mut bench, 2), "cc");
}

#[test]
fn without_load_the_turns_are_smooth() {
    assert_eq!(letters(&mut bench(&[5, 1, 1]), 14), "aabacaaaabacaa");
    assert_eq!(letters(&mut bench(&[1, 1, 1]), 6), "abcabc");
}

#[test]
fn an_endpoint_that_comes_under_load_gets_what_it_takes_to_be_level() {
    let mut bench = bench(&[1, 1]);
    set_in_flight(0, 10);
    set_in_flight(1, 10);
    assert!(bench.changes(&[Change::Put(endpoint(2))]));
    for load in 0..10 {
        set_in_flight(2, load);
        assert_eq!(bench.pick_slot(None), Some(2));
    }
    set_in_flight(2, 10);
    let next = letters(&mut bench, 3);
    assert!("abc".chars().all(|letter| next.contains(letter)), "{next}");
}

#[test]
fn tried_endpoints_are_passed_over_until_there_is_no_other() {
    let mut bench = bench(&[1, 1, 1]);
    set_in_flight(1, 1);
    set_in_flight(2, 2);
    assert_eq!(bench.pick_again(None, &[0]), Some(1));
    assert_eq!(bench.pick_again(None, &[0, 1]), Some(2));
    assert_eq!(bench.pick_again(None, &[0, 1, 2]), Some(0));
}

#[test]
fn the_first_picks_of_idle_workers_are_spread_by_the_weights() {
    let mut counts = [0_u32; 4];
    for n in 0..8000 {
        seed(n);
        let mut bench = BalancerBench::<LeastConnections>::new("").unwrap();
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
fn absurd_sets_have_a_defined_answer() {
    assert_eq!(bench(&[]).pick_slot(None), None);
    assert_eq!(bench(&[0, 0]).pick_slot(None), None);
    assert_eq!(letters(&mut bench(&[0, 1]), 2), "bb");
    assert_eq!(bench(&[0, 1]).pick_again(None, &[1]), Some(1));
    let mut heavy = bench(&[1 << 31, u32::MAX]);
    (0..2).for_each(|slot| set_in_flight(slot, u32::MAX));
    assert_eq!(letters(&mut heavy, 4), "abab");
    let mut many = bench(&vec![1; 10_000]);
    (0..10_000).for_each(|slot| set_in_flight(slot, u32::from(slot != 9_998)));
    assert_eq!(many.pick_slot(None), Some(9_998));
    assert!(many.changes(&[Change::Availability((9_998, Availability::Draining))]));
    assert_ne!(many.pick_slot(None), Some(9_998));
}

#[test]
fn changes_in_any_order_are_followed() {
    let mut bench = bench(&[1, 1, 1]);
    // The host never sends such; a policy must not fall over it all the same.
    assert!(bench.changes(&[Change::Removed(9), Change::Removed(0), Change::Weight((0, 3)), Change::Put(endpoint(7))]));
    assert!(bench.changes(&[Change::Put(endpoint(0)), Change::Removed(7), Change::Ramp((7, 5))]));
    assert_eq!(letters(&mut bench, 3).replace(['a', 'b', 'c'], ""), "");
}

#[test]
fn unknown_options_are_refused() {
    let errors = BalancerBench::<LeastConnections>::new(r#"{"random_start":1}"#).unwrap_err();
    assert_eq!(errors[0].path, "/random_start");
}

proptest! {
    #[test]
    fn every_pick_is_nginx_s(
        weights in prop::collection::vec(0u32..5, 2..10),
        steps in prop::collection::vec((prop::collection::vec(0u32..10, 0..3), 0usize..10, any::<bool>()), 1..80),
    ) {
        reset();
        let mut bench = bench(&weights);
        let mut nginx = Nginx(weights.iter().map(|&weight| (weight.into(), 0, 0)).collect());
        for (tried, ended, ends) in steps {
            let expected = nginx.pick(&tried).or_else(|| nginx.pick(&[]));
            let got = if tried.is_empty() { bench.pick_slot(None) } else { bench.pick_again(None, &tried) };
            // nginx asks nothing of a single peer.
            if weights.iter().filter(|w| **w > 0).count() < 2 {
                break;
            }
            prop_assert_eq!(got, expected);
            if let Some(slot) = got {
                nginx.0[slot as usize].1 += 1;
            }
            if let Some(peer) = nginx.0.get_mut(ended).filter(|_| ends) {
                peer.1 = peer.1.saturating_sub(1);
            }
            (0..).zip(&nginx.0).for_each(|(slot, peer)| set_in_flight(slot, peer.1 as u32));
        }
    }
}
