use plimsoll_sdk::testing::{BalancerBench, endpoints, set_in_flight, with_id};
use plimsoll_sdk::{Availability, Change, Endpoint};
use proptest::prelude::*;

use crate::Maglev;

const KEYS: u64 = 20_000;

fn bench(endpoints: &[Endpoint]) -> BalancerBench<Maglev> {
    let mut bench = BalancerBench::new("").unwrap();
    bench.endpoints(endpoints);
    bench
}

/// Keys as the host makes them: hashes, spread over all numbers.
fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555)
}

fn slots(bench: &mut BalancerBench<Maglev>) -> Vec<u32> {
    keys().map(|key| bench.pick_slot(Some(key)).unwrap()).collect()
}

#[test]
fn shares_follow_the_weights() {
    let weights = [1, 2, 3, 10];
    let slots = slots(&mut bench(&endpoints(&weights)));
    for (slot, weight) in (0..).zip(weights) {
        let share = slots.iter().filter(|s| **s == slot).count() as f64 / KEYS as f64;
        assert!((share - f64::from(weight) / 16.0).abs() < 0.012, "slot {slot}: {share}");
    }
}

#[test]
fn few_keys_move_when_an_endpoint_goes() {
    let mut bench = bench(&endpoints(&[1; 10]));
    let before = slots(&mut bench);
    assert!(bench.changes(&[Change::Availability((4, Availability::Unavailable))]));
    let after = slots(&mut bench);
    assert!(after.iter().all(|slot| *slot != 4));
    let moved = before.iter().zip(&after).filter(|(b, a)| **b != 4 && b != a).count();
    assert!(moved < KEYS as usize / 25, "{moved} of {KEYS} keys moved without need");
    assert!(bench.changes(&[Change::Availability((4, Availability::Ready))]));
    assert_eq!(slots(&mut bench), before);
}

#[test]
fn machines_agree_whatever_the_slots_are() {
    let names = ["alpha", "beta", "gamma", "delta"];
    let here: Vec<_> = (0..).zip(names).map(|(slot, id)| with_id(slot, id, id)).collect();
    let there: Vec<_> = (10..).zip(names.iter().rev()).map(|(slot, id)| with_id(slot, id, id)).collect();
    let name = |list: &[Endpoint], slot| list.iter().find(|e| e.slot == slot).unwrap().id.clone();
    let (mut bench_here, mut bench_there) = (bench(&here), bench(&there));
    for key in keys().take(2000) {
        let (a, b) = (bench_here.pick_slot(Some(key)).unwrap(), bench_there.pick_slot(Some(key)).unwrap());
        assert_eq!(name(&here, a), name(&there, b));
    }
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
fn without_a_key_it_is_random() {
    let mut bench = bench(&endpoints(&[1; 4]));
    let picked: std::collections::BTreeSet<_> = (0..100).map(|_| bench.pick_slot(None)).collect();
    assert_eq!(picked.len(), 4);
}

#[test]
fn without_endpoints_there_is_no_choice() {
    let mut bench = bench(&[]);
    assert_eq!(bench.pick_slot(Some(1)), None);
    assert_eq!(bench.pick_again(Some(1), &[3]), None);
}

#[test]
fn more_endpoints_than_places_is_no_trouble() {
    let mut bench = BalancerBench::<Maglev>::new(r#"{"table_size":7}"#).unwrap();
    bench.endpoints(&endpoints(&[1; 20]));
    assert!(bench.pick_slot(Some(u64::MAX)).is_some());
    assert!(bench.pick_again(Some(3), &(0..19).collect::<Vec<_>>()).is_some_and(|slot| slot == 19));
}

/// The table made literally, as Envoy does it: round after round, with targets for the weights.
fn literally(size: usize, list: &[Endpoint]) -> Vec<u32> {
    let mix = |x: u64| {
        let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let mut ordered: Vec<&Endpoint> = list.iter().filter(|e| e.weight > 0).collect();
    ordered.sort_by_key(|e| e.id_hash);
    let largest = ordered.iter().map(|e| u64::from(e.weight)).max().unwrap();
    let mut places = vec![None; size];
    let mut next: Vec<u64> = vec![0; ordered.len()];
    let mut taken: Vec<u64> = vec![0; ordered.len()];
    let mut left = size;
    for round in 1.. {
        for (index, e) in ordered.iter().enumerate() {
            if round * u64::from(e.weight) < (taken[index] + 1) * largest {
                continue;
            }
            let (offset, skip) = (mix(e.id_hash) % size as u64, mix(!e.id_hash) % (size as u64 - 1) + 1);
            loop {
                let place = ((offset + next[index] * skip) % size as u64) as usize;
                next[index] += 1;
                if places[place].is_none() {
                    places[place] = Some(e.slot);
                    break;
                }
            }
            taken[index] += 1;
            left -= 1;
            if left == 0 {
                return places.into_iter().flatten().collect();
            }
        }
    }
    unreachable!()
}

#[test]
fn the_table_is_as_the_paper_fills_it() {
    for (size, weights) in [
        (2, &[1u32, 1][..]),
        (3, &[1, 1]),
        (127, &[1, 2, 3]),
        (131, &[1; 4]),
        (1021, &[1; 10]),
        (1021, &[1, 5, 2, 2, 9]),
        (1021, &[1000, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (4099, &[65_535, 1, 300, 0, 7]),
        (4099, &[3; 700]),
        (101, &[1; 300]),
    ] {
        let list = endpoints(weights);
        let mut bench = BalancerBench::<Maglev>::new(&format!(r#"{{"table_size":{size}}}"#)).unwrap();
        bench.endpoints(&list);
        let places: Vec<u32> = (0..size).map(|key| bench.pick_slot(Some(key)).unwrap()).collect();
        assert_eq!(places, literally(size as usize, &list), "{size} {weights:?}");
    }
}

#[test]
fn no_endpoint_gets_more_than_the_factor_allows() {
    let weights = [1, 1, 1, 2, 5];
    let mut bench = BalancerBench::<Maglev>::new(r#"{"hash_balance_factor":125}"#).unwrap();
    bench.endpoints(&endpoints(&weights));
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
fn without_overload_a_bound_changes_nothing() {
    let mut bounded = BalancerBench::<Maglev>::new(r#"{"hash_balance_factor":150}"#).unwrap();
    bounded.endpoints(&endpoints(&[1; 5]));
    (0..5).for_each(|slot| set_in_flight(slot, 3));
    assert_eq!(slots(&mut bounded), slots(&mut bench(&endpoints(&[1; 5]))));
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
    assert!(bench(&endpoints(&vec![1; 10_000])).pick_slot(Some(1)).is_some());
}

#[test]
fn only_primes_are_sizes() {
    for size in ["0", "1", "65536", "5000013", "4294967295"] {
        let errors = BalancerBench::<Maglev>::new(&format!(r#"{{"table_size":{size}}}"#)).unwrap_err();
        assert_eq!(errors[0].path, "/table_size", "{size}");
    }
    for size in ["2", "65537", "5000011"] {
        assert!(BalancerBench::<Maglev>::new(&format!(r#"{{"table_size":{size}}}"#)).is_ok(), "{size}");
    }
}

#[test]
fn every_mistake_in_the_options_is_told() {
    let errors = BalancerBench::<Maglev>::new(r#"{"table_size":4,"hash_balance_factor":20}"#).unwrap_err();
    assert_eq!(errors.iter().map(|e| &e.path[..]).collect::<Vec<_>>(), ["/table_size", "/hash_balance_factor"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_what_is_ready_and_untried_is_chosen(
        weights in prop::collection::vec(0u32..65_536, 1..12),
        tried in prop::collection::vec(0u32..12, 1..12),
        key: u64,
    ) {
        let mut bench = BalancerBench::<Maglev>::new(r#"{"table_size":251}"#).unwrap();
        bench.endpoints(&endpoints(&weights));
        let usable = |slot: &u32| weights.get(*slot as usize).is_some_and(|w| *w > 0);
        let left = (0..12).filter(usable).any(|slot| !tried.contains(&slot));
        match bench.pick_again(Some(key), &tried) {
            None => prop_assert!(!(0..12).any(|slot| usable(&slot))),
            Some(slot) => prop_assert!(usable(&slot) && !(left && tried.contains(&slot))),
        }
    }
}

#[test]
fn what_was_prepared_elsewhere_is_taken_over_where_it_fits() {
    let list = endpoints(&[1, 2, 3]);
    let prepared = bench(&list).prepare();
    let mut taking = BalancerBench::<Maglev>::new("").unwrap();
    taking.adopt(&prepared);
    taking.endpoints(&list);
    assert_eq!(slots(&mut taking), slots(&mut bench(&list)));

    // It is really that which is looked at.
    let mut bent = prepared.clone();
    let (places, _fingerprint) = bent.split_at_mut(prepared.len() - 2);
    places.fill(2);
    let mut bending = BalancerBench::<Maglev>::new("").unwrap();
    bending.adopt(&bent);
    bending.endpoints(&list);
    assert!(slots(&mut bending).iter().all(|slot| *slot == 2));

    let others = endpoints(&[1, 2, 4]);
    for unfit in [prepared, vec![], vec![0], vec![7; 5]] {
        let mut bench_of_others = BalancerBench::<Maglev>::new("").unwrap();
        bench_of_others.adopt(&unfit);
        bench_of_others.endpoints(&others);
        assert_eq!(slots(&mut bench_of_others), slots(&mut bench(&others)));
    }
}

/// Endpoints of the paper's measurement (section 5.3).
const PUBLISHED: u32 = 1000;

/// Entries of the table, which keys from 0 on walk through.
fn entries(bench: &mut BalancerBench<Maglev>, size: u32) -> Vec<u32> {
    (0..u64::from(size)).map(|place| bench.pick_slot(Some(place)).unwrap()).collect()
}

/// Share of the entries that change when so many endpoints of a thousand fail at once, spread over all of them.
fn changed(size: u32, failed: u32, first: u32) -> f64 {
    let mut bench = BalancerBench::new(&format!(r#"{{"table_size":{size}}}"#)).unwrap();
    bench.endpoints(&endpoints(&vec![1; PUBLISHED as usize]));
    let before = entries(&mut bench, size);
    let slots = (0..failed).map(|number| (first + number * (PUBLISHED / failed)) % PUBLISHED);
    let changes: Vec<Change> = slots.map(|slot| Change::Availability((slot, Availability::Unavailable))).collect();
    assert!(bench.changes(&changes));
    let after = entries(&mut bench, size);
    before.iter().zip(&after).filter(|(before, after)| before != after).count() as f64 / f64::from(size)
}

/// Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer, NSDI 2016, section 5.3: with 1000 backends
/// and tables of 65537 and 655373 entries, the share of entries that change grows with the number of backends that fail at
/// once, and a larger table is more resilient. The bounds are ours: besides the entries of those that failed, which have to
/// change, at most half as many again and half a percent in the large table, and twice as many again and a percent in the
/// small one.
#[test]
fn disruption_is_as_published() {
    let failures = [1, 5, 10, 20];
    let small = failures.map(|failed| changed(65_537, failed, 3));
    let large = failures.map(|failed| changed(655_373, failed, 3));
    assert!(small.is_sorted() && large.is_sorted(), "{small:?} {large:?}");
    for ((failed, small), large) in failures.into_iter().zip(small).zip(large) {
        let needed = f64::from(failed) / f64::from(PUBLISHED);
        assert!(
            needed - 0.001 < large && large < small,
            "{failed} failed: {large} of the large table, {small} of the small"
        );
        assert!(large < 1.5 * needed + 0.005, "{failed} failed: {large} of the large table changed");
        assert!(small < 3.0 * needed + 0.011, "{failed} failed: {small} of the small table changed");
    }
}

/// The same paper: in section 3.4, a table of more than 100 entries for each backend gives no backend more than 1 % more
/// than another; in section 5.3, the load is almost perfectly balanced whatever the size.
#[test]
fn load_is_balanced_as_published() {
    for (size, most) in [(65_537, 66.0 / 65.0), (655_373, 1.01)] {
        let mut bench = BalancerBench::new(&format!(r#"{{"table_size":{size}}}"#)).unwrap();
        bench.endpoints(&endpoints(&vec![1; PUBLISHED as usize]));
        let mut counts = vec![0_u32; PUBLISHED as usize];
        entries(&mut bench, size).into_iter().for_each(|slot| counts[slot as usize] += 1);
        let (fewest, most_of_all) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(f64::from(*most_of_all) / f64::from(*fewest) <= most, "{size}: from {fewest} to {most_of_all}");
    }
}
