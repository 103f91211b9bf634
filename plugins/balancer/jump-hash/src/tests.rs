use std::collections::BTreeSet;

use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, id_hash, set_in_flight, with_id};
use plimsoll_sdk::{Availability, Change, Endpoint};
use proptest::prelude::*;

use crate::JumpHash;

const KEYS: u64 = 50_000;
const BY_ID: &str = r#"{"order":"id"}"#;

fn bench_of(config: &str, endpoints: &[Endpoint]) -> BalancerBench<JumpHash> {
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(endpoints);
    bench
}

fn bench(endpoints: &[Endpoint]) -> BalancerBench<JumpHash> {
    bench_of("", endpoints)
}

/// Keys as the host makes them: hashes, spread over all numbers.
fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|n| id_hash(&n.to_string()))
}

fn slots(bench: &mut BalancerBench<JumpHash>) -> Vec<u32> {
    keys().map(|key| bench.pick_slot(Some(key)).unwrap()).collect()
}

#[test]
fn shares_follow_the_weights() {
    for weights in [[1, 1, 1, 1], [1, 2, 3, 10], [1, 1, 1, 1000]] {
        let slots = slots(&mut bench(&endpoints(&weights)));
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let term = |(slot, weight): (u32, u32)| {
            let expected = KEYS as f64 * f64::from(weight) / total;
            (slots.iter().filter(|s| **s == slot).count() as f64 - expected).powi(2) / expected
        };
        let chi_squared: f64 = (0..).zip(weights).map(term).sum();
        // 3 degrees of freedom, alpha 1e-6.
        assert!(chi_squared < 30.7, "{weights:?}: {chi_squared}");
    }
}

#[test]
fn an_endpoint_that_is_added_last_only_takes_its_share() {
    let mut bench = bench(&endpoints(&[1; 10]));
    let before = slots(&mut bench);
    assert!(bench.changes(&[Change::Put(endpoint(10))]));
    let after = slots(&mut bench);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == 10));
    let moved = after.iter().filter(|slot| **slot == 10).count() as f64;
    let expected = KEYS as f64 / 11.0;
    assert!((moved - expected).abs() < 5.0 * expected.sqrt(), "{moved}");
    assert!(bench.changes(&[Change::Removed(10)]));
    assert_eq!(slots(&mut bench), before);
}

#[test]
fn an_endpoint_that_is_not_available_keeps_its_number() {
    for weights in [[1; 6], [1, 2, 3, 4, 5, 6]] {
        let mut bench = bench(&endpoints(&weights));
        let before = slots(&mut bench);
        for change in [Change::Availability((2, Availability::Unavailable)), Change::Weight((2, 0))] {
            assert!(bench.changes(&[change]));
            let after = slots(&mut bench);
            let stayed = |(before, after): (&u32, &u32)| if *before == 2 { *after != 2 } else { before == after };
            assert!(before.iter().zip(&after).all(stayed));
            let heirs: BTreeSet<_> = before.iter().zip(&after).filter(|(b, _)| **b == 2).map(|(_, a)| a).collect();
            assert_eq!(heirs.len(), 5, "its keys spread over all others");
        }
        assert!(bench.changes(&[Change::Availability((2, Availability::Ready)), Change::Weight((2, weights[2]))]));
        assert_eq!(slots(&mut bench), before);
    }
}

#[test]
fn a_weight_below_the_largest_only_moves_keys_of_its_endpoint() {
    let mut bench = bench(&endpoints(&[2, 3, 2, 8]));
    let before = slots(&mut bench);
    assert!(bench.changes(&[Change::Weight((1, 5))]));
    let after = slots(&mut bench);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == 1));
    assert!(before != after);
    assert!(bench.changes(&[Change::Ramp((1, 100))]));
    let warming = slots(&mut bench);
    assert!(after.iter().zip(&warming).all(|(before, after)| before == after || *before == 1));
    assert!(warming.contains(&1));
}

#[test]
fn one_that_leaves_from_the_middle_moves_many_keys() {
    // Stated in the README: this is what the algorithm costs.
    let mut bench = bench(&endpoints(&[1; 10]));
    let before = slots(&mut bench);
    assert!(bench.changes(&[Change::Removed(0)]));
    let moved = before.iter().zip(&slots(&mut bench)).filter(|(b, a)| b != a).count() as f64 / KEYS as f64;
    assert!(moved > 0.5, "{moved}");
}

#[test]
fn numbered_by_id_machines_agree_whatever_the_slots_are() {
    let names = ["shard-2", "shard-10", "shard-1", "shard-0"];
    let here: Vec<_> = (0..).zip(names).map(|(slot, id)| with_id(slot, id, id)).collect();
    let there: Vec<_> = (7..).zip(names.iter().rev()).map(|(slot, id)| with_id(slot, id, id)).collect();
    let name = |list: &[Endpoint], slot| list.iter().find(|e| e.slot == slot).unwrap().id.clone();
    for (a, b) in slots(&mut bench_of(BY_ID, &here)).into_iter().zip(slots(&mut bench_of(BY_ID, &there))) {
        assert_eq!(name(&here, a), name(&there, b));
    }
    // And `shard-11` is the last.
    let mut bench = bench_of(BY_ID, &here);
    let before = slots(&mut bench);
    assert!(bench.changes(&[Change::Put(with_id(9, "shard-11", "x"))]));
    assert!(before.iter().zip(&slots(&mut bench)).all(|(before, after)| before == after || *after == 9));
}

#[test]
fn a_key_is_always_led_to_the_same_other_endpoint() {
    let mut bench = bench(&endpoints(&[1; 5]));
    let mut others = [0; 5];
    for key in keys().take(1000) {
        let first = bench.pick_slot(Some(key)).unwrap();
        let second = bench.pick_again(Some(key), &[first]).unwrap();
        assert_ne!(second, first);
        assert_eq!(bench.pick_again(Some(key), &[first]), Some(second));
        others[second as usize] += 1;
    }
    assert!(others.iter().all(|n| *n > 100), "{others:?}");
}

#[test]
fn no_endpoint_gets_more_than_the_factor_allows() {
    let weights = [1, 1, 1, 2, 5];
    let mut bench = bench_of(r#"{"hash_balance_factor":125}"#, &endpoints(&weights));
    let mut loads = [0_u32; 5];
    // Half of all requests are for one key.
    for (n, key) in keys().take(2000).enumerate() {
        let slot = bench.pick_slot(Some(if n % 2 == 0 { 7 } else { key })).unwrap() as usize;
        loads[slot] += 1;
        set_in_flight(slot as u32, loads[slot]);
        let all = ((n as f64 + 1.0) * 1.25).ceil();
        assert!(f64::from(loads[slot]) <= (all * f64::from(weights[slot]) / 10.0).ceil());
    }
}

#[test]
fn without_a_key_it_is_random() {
    let mut bench = bench(&endpoints(&[1; 4]));
    let picked: BTreeSet<_> = (0..100).map(|_| bench.pick_slot(None)).collect();
    assert_eq!(picked.len(), 4);
}

#[test]
fn absurd_sets_have_a_defined_answer() {
    assert_eq!(bench(&[]).pick_slot(Some(1)), None);
    assert_eq!(bench(&endpoints(&[0, 0])).pick_again(Some(1), &[1]), None);
    assert_eq!(bench(&endpoints(&[0, 1, 0])).pick_slot(Some(u64::MAX)), Some(1));
    assert_eq!(bench(&endpoints(&[1, 1])).pick_again(Some(3), &[0, 1]).map(|slot| slot < 2), Some(true));
    let heavy: BTreeSet<_> = slots(&mut bench(&endpoints(&[1 << 31, u32::MAX, 65_535]))).into_iter().collect();
    assert_eq!(heavy.len(), 3);
    let twins = [with_id(0, "x", "10.0.0.1:80"), with_id(1, "x", "10.0.0.1:80")];
    let mut twins = bench_of(BY_ID, &twins);
    let first = twins.pick_slot(Some(5)).unwrap();
    assert_eq!(twins.pick_again(Some(5), &[first]), Some(1 - first));
    let mut many = bench(&(0..10_000).map(endpoint).collect::<Vec<_>>());
    assert!(slots(&mut many).into_iter().collect::<BTreeSet<_>>().len() > 9_800);
    let lost: Vec<Change> = (0..9_999).map(|slot| Change::Availability((slot, Availability::Unavailable))).collect();
    assert!(many.changes(&lost));
    assert!(keys().take(100).all(|key| many.pick_slot(Some(key)) == Some(9_999)));
}

#[test]
fn every_mistake_in_the_options_is_told() {
    let errors = BalancerBench::<JumpHash>::new(r#"{"hash_balance_factor":99}"#).unwrap_err();
    assert_eq!(errors[0].path, "/hash_balance_factor");
    assert!(errors[0].message.contains("100 to 10000"));
    assert_eq!(BalancerBench::<JumpHash>::new(r#"{"order":"name"}"#).unwrap_err()[0].path, "/order");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn only_what_is_ready_and_untried_is_chosen(
        weights in prop::collection::vec(0u32..65_536, 1..12),
        tried in prop::collection::vec(0u32..12, 0..12),
        factor in prop::sample::select(vec![0, 100, 150]),
        loads in prop::collection::vec(0u32..5, 12),
        key: u64,
    ) {
        (0..).zip(loads).for_each(|(slot, load)| set_in_flight(slot, load));
        let config = format!(r#"{{"hash_balance_factor":{factor}}}"#);
        let mut bench = bench_of(&config, &endpoints(&weights));
        let usable = |slot: &u32| weights.get(*slot as usize).is_some_and(|w| *w > 0);
        let left = (0..12).filter(usable).any(|slot| !tried.contains(&slot));
        match bench.pick_again(Some(key), &tried) {
            None => prop_assert!(!(0..12).any(|slot| usable(&slot))),
            Some(slot) => prop_assert!(usable(&slot) && !(left && tried.contains(&slot))),
        }
    }
}
