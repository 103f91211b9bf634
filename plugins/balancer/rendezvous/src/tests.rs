use plimsoll_sdk::testing::{BalancerBench, endpoints, set_in_flight, with_id};
use plimsoll_sdk::{Availability, Change, Endpoint};

use crate::Rendezvous;

const KEYS: u64 = 50_000;

fn bench(endpoints: &[Endpoint]) -> BalancerBench<Rendezvous> {
    let mut bench = BalancerBench::new("").unwrap();
    bench.endpoints(endpoints);
    bench
}

fn slots(bench: &mut BalancerBench<Rendezvous>) -> Vec<u32> {
    (0..KEYS).map(|n| bench.pick_slot(Some(n.wrapping_mul(0x2545_f491_4f6c_dd1d))).unwrap()).collect()
}

#[test]
fn shares_follow_the_weights() {
    for weights in [[1, 1, 1, 1], [1, 2, 3, 10]] {
        let slots = slots(&mut bench(&endpoints(&weights)));
        let total: u32 = weights.iter().sum();
        for (slot, weight) in (0..).zip(weights) {
            let share = slots.iter().filter(|s| **s == slot).count() as f64 / KEYS as f64;
            let expected = f64::from(weight) / f64::from(total);
            // Five standard deviations.
            let allowed = 5.0 * (expected * (1.0 - expected) / KEYS as f64).sqrt();
            assert!((share - expected).abs() < allowed, "slot {slot} of {weights:?}: {share}");
        }
    }
}

#[test]
fn only_keys_of_the_lost_endpoint_move_and_they_come_back() {
    for weights in [[1; 6], [1, 2, 3, 4, 5, 6]] {
        let mut bench = bench(&endpoints(&weights));
        let before = slots(&mut bench);
        assert!(bench.changes(&[Change::Availability((4, Availability::Unavailable))]));
        let after = slots(&mut bench);
        assert!(before.iter().zip(&after).all(|(before, after)| if *before == 4 {
            *after != 4
        } else {
            before == after
        }));
        assert!(bench.changes(&[Change::Availability((4, Availability::Ready))]));
        assert_eq!(slots(&mut bench), before);
    }
}

#[test]
fn a_larger_weight_only_attracts_keys() {
    let mut bench = bench(&endpoints(&[2, 2, 2, 3]));
    let before = slots(&mut bench);
    assert!(bench.changes(&[Change::Weight((1, 4))]));
    let after = slots(&mut bench);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == 1));
    assert!(before != after);
}

#[test]
fn machines_agree_whatever_the_slots_are() {
    let names = ["alpha", "beta", "gamma"];
    let here: Vec<_> = (0..).zip(names).map(|(slot, id)| with_id(slot, id, id)).collect();
    let there: Vec<_> = (7..).zip(names.iter().rev()).map(|(slot, id)| with_id(slot, id, id)).collect();
    let name = |list: &[Endpoint], slot| list.iter().find(|e| e.slot == slot).unwrap().id.clone();
    for (a, b) in slots(&mut bench(&here)).into_iter().zip(slots(&mut bench(&there))) {
        assert_eq!(name(&here, a), name(&there, b));
    }
}

#[test]
fn a_key_is_always_led_to_the_same_other_endpoint() {
    let mut bench = bench(&endpoints(&[1; 5]));
    for key in (0..1000_u64).map(|n| n.wrapping_mul(0x2545_f491_4f6c_dd1d)) {
        let first = bench.pick_slot(Some(key)).unwrap();
        let second = bench.pick_again(Some(key), &[first]);
        assert!(second.is_some() && second != Some(first));
        assert_eq!(bench.pick_again(Some(key), &[first]), second);
    }
    assert!(bench.pick_again(Some(1), &[0, 1, 2, 3, 4]).is_some());
    assert_eq!(super::tests::bench(&[]).pick_slot(Some(1)), None);
}

#[test]
fn a_full_endpoint_passes_its_keys_on_by_the_score() {
    let mut bench = BalancerBench::<Rendezvous>::new(r#"{"hash_balance_factor":125}"#).unwrap();
    bench.endpoints(&endpoints(&[1; 5]));
    let mut plain = super::tests::bench(&endpoints(&[1; 5]));
    (0..5).for_each(|slot| set_in_flight(slot, 10));
    set_in_flight(3, 20);
    for key in (0..2000_u64).map(|n| n.wrapping_mul(0x2545_f491_4f6c_dd1d)) {
        let first = plain.pick_slot(Some(key)).unwrap();
        let expected = if first == 3 { plain.pick_again(Some(key), &[3]) } else { Some(first) };
        assert_eq!(bench.pick_slot(Some(key)), expected);
    }
}

#[test]
fn no_endpoint_gets_more_than_the_factor_allows() {
    let weights = [1, 1, 1, 2, 5];
    let mut bench = BalancerBench::<Rendezvous>::new(r#"{"hash_balance_factor":125}"#).unwrap();
    bench.endpoints(&endpoints(&weights));
    let mut loads = [0_u32; 5];
    // Half of all requests are for one key.
    for n in 0..2000_u64 {
        let key = if n % 2 == 0 { 7 } else { n.wrapping_mul(0x2545_f491_4f6c_dd1d) };
        let slot = bench.pick_slot(Some(key)).unwrap() as usize;
        loads[slot] += 1;
        set_in_flight(slot as u32, loads[slot]);
        let all = ((n as f64 + 1.0) * 1.25).ceil();
        assert!(f64::from(loads[slot]) <= (all * f64::from(weights[slot]) / 10.0).ceil());
    }
}

#[test]
fn absurd_sets_have_a_defined_answer() {
    assert_eq!(bench(&endpoints(&[0, 0])).pick_again(Some(1), &[1]), None);
    assert_eq!(bench(&endpoints(&[0, 1, 0])).pick_slot(Some(u64::MAX)), Some(1));
    let heavy: std::collections::BTreeSet<_> =
        slots(&mut bench(&endpoints(&[1 << 31, u32::MAX, 65_535]))).into_iter().collect();
    assert_eq!(heavy.len(), 3);
    let mut twins = bench(&[with_id(0, "x", "10.0.0.1:80"), with_id(1, "x", "10.0.0.1:80")]);
    let first = twins.pick_slot(Some(5)).unwrap();
    assert_eq!(twins.pick_again(Some(5), &[first]), Some(1 - first));
    let mut many = BalancerBench::<Rendezvous>::new(r#"{"hash_balance_factor":100}"#).unwrap();
    many.endpoints(&endpoints(&(1..=10_000).collect::<Vec<_>>()));
    (0..9_999).for_each(|slot| set_in_flight(slot, slot + 1));
    assert_eq!(many.pick_slot(Some(1)), Some(9_999));
    assert!(many.pick_again(Some(1), &[9_999, 3]).is_some_and(|slot| slot < 9_999 && slot != 3));
}

#[test]
fn mistakes_in_the_options_are_told() {
    for config in [r#"{"hash_balance_factor":99}"#, r#"{"hash_balance_factor":"x"}"#] {
        assert_eq!(BalancerBench::<Rendezvous>::new(config).unwrap_err()[0].path, "/hash_balance_factor");
    }
}
