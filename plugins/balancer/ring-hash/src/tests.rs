use std::collections::BTreeMap;

use plimsoll_sdk::testing::{BalancerBench, endpoint, endpoints, id_hash, set_in_flight, with_id};
use plimsoll_sdk::{Availability, Change, Endpoint};
use proptest::prelude::*;

use crate::RingHash;

const KEYS: u64 = 50_000;
const ENVOY: &str = r#"{"layout":"envoy"}"#;

fn bench_of(config: &str, endpoints: &[Endpoint]) -> BalancerBench<RingHash> {
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(endpoints);
    bench
}

fn bench(endpoints: &[Endpoint]) -> BalancerBench<RingHash> {
    bench_of("", endpoints)
}

/// Keys as the host makes them: hashes, spread over all numbers.
fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|n| id_hash(&n.to_string()))
}

fn slots(bench: &mut BalancerBench<RingHash>) -> Vec<u32> {
    keys().map(|key| bench.pick_slot(Some(key)).unwrap()).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// nginx's `ngx_http_upstream_update_chash` and `ngx_http_upstream_find_chash_point`, to the letter.
fn nginx(servers: &[(&str, &str, u32)], key: &[u8]) -> u32 {
    let mut points = BTreeMap::new();
    for ((host, port, weight), slot) in servers.iter().zip(0_u32..) {
        let mut previous = 0_u32;
        for _ in 0..weight * 160 {
            let text = [host.as_bytes(), &[0], port.as_bytes(), &previous.to_le_bytes()].concat();
            previous = crc32(&text);
            points.entry(previous).or_insert(slot);
        }
    }
    let point = points.range(crc32(key)..).next().or_else(|| points.iter().next());
    *point.unwrap().1
}

#[test]
fn a_key_that_is_a_crc32_goes_where_nginx_sends_it() {
    let servers = [("10.0.0.1", "80", 1), ("10.0.0.2", "8080", 3), ("app.internal", "9000", 2), ("::1", "1", 1)];
    let list: Vec<Endpoint> = (0..)
        .zip(servers)
        .map(|(slot, (host, port, weight))| Endpoint {
            weight,
            ..with_id(slot, &format!("server {slot}"), &format!("{host}:{port}"))
        })
        .collect();
    let mut bench = bench(&list);
    for key in (0..5000).map(|n| format!("/object/{n}")) {
        let expected = nginx(&servers, key.as_bytes());
        assert_eq!(bench.pick_slot(Some(crc32(key.as_bytes()).into())), Some(expected), "{key}");
    }
}

/// Envoy's ring, made literally.
fn envoy(servers: &[(&str, u32)], least: f64) -> Vec<(u64, u32)> {
    let total: f64 = servers.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let lightest = servers.iter().map(|(_, weight)| f64::from(*weight) / total).fold(1.0, f64::min);
    let scale = (lightest * least).ceil() / lightest;
    let (mut current, mut target) = (0.0, 0.0);
    let mut ring = Vec::new();
    for ((address, weight), slot) in servers.iter().zip(0..) {
        target += scale * f64::from(*weight) / total;
        let mut i = 0;
        while current < target {
            ring.push((id_hash(&format!("{address}_{i}")), slot));
            i += 1;
            current += 1.0;
        }
    }
    ring.sort_unstable();
    ring
}

#[test]
fn the_envoy_layout_sends_keys_where_envoy_sends_them() {
    for (least, config) in [(1024.0, ENVOY), (7000.0, r#"{"layout":"envoy","minimum_ring_size":7000}"#)] {
        let servers = [("10.0.0.1:80", 1), ("10.0.0.2:80", 3), ("10.0.0.3:80", 2)];
        let ring = envoy(&servers, least);
        let endpoint = |(slot, (address, weight))| Endpoint { weight, ..with_id(slot, address, address) };
        let mut bench = bench_of(config, &(0..).zip(servers).map(endpoint).collect::<Vec<_>>());
        for key in keys().take(5000) {
            let point = ring.iter().find(|(position, _)| *position >= key).unwrap_or(&ring[0]);
            assert_eq!(bench.pick_slot(Some(key)), Some(point.1));
        }
    }
}

#[test]
fn shares_follow_the_weights() {
    for config in [r"", ENVOY] {
        let weights = [1, 2, 3, 10];
        let slots = slots(&mut bench_of(config, &endpoints(&weights)));
        for (slot, weight) in (0..).zip(weights) {
            let share = slots.iter().filter(|s| **s == slot).count() as f64 / KEYS as f64;
            let expected = f64::from(weight) / 16.0;
            // 160 points or, in Envoy's layout, 64 for the lightest: five standard deviations of its arcs.
            let allowed = 5.0 * expected / f64::from(weight * if config.is_empty() { 160 } else { 64 }).sqrt();
            assert!((share - expected).abs() < allowed, "slot {slot}: {share}");
        }
    }
}

#[test]
fn the_busiest_of_a_hundred_has_at_most_a_third_more_than_the_mean() {
    let slots = slots(&mut bench(&endpoints(&[1; 100])));
    let mut counts = [0_u64; 100];
    slots.iter().for_each(|slot| counts[*slot as usize] += 1);
    assert!(counts.iter().max() < Some(&(KEYS * 135 / 10_000)), "{counts:?}");
}

#[test]
fn only_keys_of_the_lost_endpoint_move_and_they_come_back() {
    for config in ["", ENVOY] {
        let mut bench = bench_of(config, &endpoints(&[1, 2, 3, 1, 1, 1]));
        let before = slots(&mut bench);
        assert!(bench.changes(&[Change::Availability((2, Availability::Unavailable))]));
        let after = slots(&mut bench);
        let stayed = |(before, after): (&u32, &u32)| if *before == 2 { *after != 2 } else { before == after };
        assert!(before.iter().zip(&after).all(stayed));
        let heirs: std::collections::BTreeSet<_> =
            before.iter().zip(&after).filter(|(b, _)| **b == 2).map(|(_, after)| after).collect();
        assert_eq!(heirs.len(), 5, "its keys spread over all others");
        assert!(bench.changes(&[Change::Availability((2, Availability::Ready))]));
        assert_eq!(slots(&mut bench), before);
    }
}

#[test]
fn an_endpoint_that_comes_only_takes_keys() {
    let mut bench = bench(&endpoints(&[1; 10]));
    let before = slots(&mut bench);
    assert!(bench.changes(&[Change::Put(endpoint(10))]));
    let after = slots(&mut bench);
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == 10));
    let moved = after.iter().filter(|slot| **slot == 10).count() as f64 / KEYS as f64;
    assert!(moved > 0.06 && moved < 1.35 / 11.0, "{moved}");
    assert!(bench.changes(&[Change::Removed(10)]));
    assert_eq!(slots(&mut bench), before);
}

#[test]
fn a_larger_weight_only_attracts_keys() {
    let mut bench = bench(&endpoints(&[2, 2, 2, 3]));
    let before = slots(&mut bench);
    for change in [Change::Weight((1, 4)), Change::Weight((1, 2)), Change::Ramp((3, 500)), Change::Ramp((3, 1000))] {
        let (slot, grows) = match change {
            Change::Weight((slot, weight)) => (slot, weight == 4),
            Change::Ramp((slot, ramp)) => (slot, ramp == 1000),
            _ => unreachable!(),
        };
        let was = slots(&mut bench);
        assert!(bench.changes(&[change]));
        let is = slots(&mut bench);
        let mut moved = was.iter().zip(&is).filter(|(was, is)| was != is).peekable();
        assert!(moved.peek().is_some());
        assert!(moved.all(|(was, is)| *(if grows { is } else { was }) == slot));
    }
    assert_eq!(slots(&mut bench), before);
}

#[test]
fn an_endpoint_that_warms_up_moves_only_its_own_keys() {
    for config in ["", ENVOY, r#"{"layout":"envoy","maximum_ring_size":2000}"#] {
        let mut bench = bench_of(config, &endpoints(&[1, 5, 3, 2]));
        let before = slots(&mut bench);
        for ramp in [700, 300, 1] {
            assert!(bench.changes(&[Change::Ramp((1, ramp))]));
            let after = slots(&mut bench);
            assert!(
                before.iter().zip(&after).all(|(before, after)| before == after || *before == 1),
                "{config} {ramp}"
            );
            assert!(after.contains(&1) && before != after, "{config} {ramp}");
        }
    }
}

#[test]
fn a_ring_that_is_too_small_still_has_a_place_for_each() {
    for layout in ["nginx", "envoy"] {
        let config = format!(r#"{{"layout":"{layout}","maximum_ring_size":2,"minimum_ring_size":1}}"#);
        let config = if layout == "nginx" { config.replace(r#","minimum_ring_size":1"#, "") } else { config };
        let mut list = endpoints(&[65_535, 1, 1, 1]);
        list[0].availability = Availability::Draining;
        list[1].availability = Availability::Draining;
        let picked: std::collections::BTreeSet<_> = slots(&mut bench_of(&config, &list)).into_iter().collect();
        assert_eq!(picked.into_iter().collect::<Vec<_>>(), [2, 3], "{layout}");
    }
}

#[test]
fn machines_agree_whatever_the_slots_are() {
    for config in ["", ENVOY] {
        let names = ["10.0.0.7:80", "10.0.0.1:80", "10.0.0.12:80", "10.0.0.3:80"];
        let here: Vec<_> = (0..).zip(names).map(|(slot, id)| with_id(slot, id, id)).collect();
        let there: Vec<_> = (7..).zip(names.iter().rev()).map(|(slot, id)| with_id(slot, id, id)).collect();
        let name = |list: &[Endpoint], slot| list.iter().find(|e| e.slot == slot).unwrap().id.clone();
        for (a, b) in slots(&mut bench_of(config, &here)).into_iter().zip(slots(&mut bench_of(config, &there))) {
            assert_eq!(name(&here, a), name(&there, b));
        }
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
        // The one that gets the key when the first is gone.
        assert!(bench.changes(&[Change::Availability((first, Availability::Unavailable))]));
        assert_eq!(bench.pick_slot(Some(key)), Some(second));
        assert!(bench.changes(&[Change::Availability((first, Availability::Ready))]));
        others[second as usize] += 1;
    }
    assert!(others.iter().all(|n| *n > 50), "{others:?}");
    assert!(bench.pick_again(Some(1), &[0, 1, 2, 3, 4]).is_some());
}

#[test]
fn a_full_endpoint_passes_its_keys_on_along_the_ring() {
    let mut bench = bench_of(r#"{"hash_balance_factor":125}"#, &endpoints(&[1; 5]));
    let mut plain = bench_of("", &endpoints(&[1; 5]));
    (0..5).for_each(|slot| set_in_flight(slot, 10));
    set_in_flight(3, 20);
    for key in keys().take(2000) {
        let first = plain.pick_slot(Some(key)).unwrap();
        let expected = if first == 3 { plain.pick_again(Some(key), &[3]) } else { Some(first) };
        assert_eq!(bench.pick_slot(Some(key)), expected);
    }
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
        let mean = (n as f64 + 1.0) * f64::from(weights[slot]) / 10.0;
        assert!(f64::from(loads[slot]) <= (((n as f64 + 1.0) * 1.25).ceil() * f64::from(weights[slot]) / 10.0).ceil());
        assert!(n < 100 || f64::from(loads[slot]) <= mean * 1.25 + 2.0);
    }
}

#[test]
fn without_a_key_it_is_random() {
    let mut bench = bench(&endpoints(&[1; 4]));
    let picked: std::collections::BTreeSet<_> = (0..100).map(|_| bench.pick_slot(None)).collect();
    assert_eq!(picked.len(), 4);
}

#[test]
fn the_next_priority_level_has_a_ring_of_its_own() {
    let mut list = endpoints(&[1; 4]);
    list[2].priority = 1;
    list[3].priority = 1;
    let mut bench = bench(&list);
    assert!(slots(&mut bench).iter().all(|slot| *slot < 2));
    assert!(bench.changes(&[0, 1].map(|slot| Change::Availability((slot, Availability::Unavailable)))));
    let mut alone = super::tests::bench(&list[2..]);
    assert_eq!(slots(&mut bench), slots(&mut alone));
}

#[test]
fn absurd_sets_have_a_defined_answer() {
    for config in ["", ENVOY, r#"{"layout":"envoy","minimum_ring_size":1,"maximum_ring_size":3}"#] {
        assert_eq!(bench_of(config, &[]).pick_slot(Some(1)), None);
        assert_eq!(bench_of(config, &endpoints(&[0, 0])).pick_again(Some(1), &[1]), None);
        assert_eq!(bench_of(config, &endpoints(&[0, 1, 0])).pick_slot(Some(u64::MAX)), Some(1));
        let mut heavy = bench_of(config, &endpoints(&[1 << 31, u32::MAX, 65_535]));
        let slots: std::collections::BTreeSet<_> = slots(&mut heavy).into_iter().collect();
        assert!(slots.len() == 3 || config.contains("maximum"), "{config}: {slots:?}");
        // One address twice: no mistake, and each of them may serve it.
        let twins = [with_id(0, "x", "10.0.0.1:80"), with_id(1, "y", "10.0.0.1:80")];
        let mut twins = bench_of(config, &twins);
        let first = twins.pick_slot(Some(5)).unwrap();
        assert_eq!(twins.pick_again(Some(5), &[first]), Some(1 - first));
        let mut odd = [with_id(0, "x", ""), with_id(1, "y", "[::1]"), with_id(2, "z", "no port:")];
        odd[1].weight = 3;
        assert!(bench_of(config, &odd).pick_slot(Some(9)).is_some());
    }
}

#[test]
fn ten_thousand_endpoints_fit_on_the_ring() {
    let list: Vec<Endpoint> = (0..10_000).map(endpoint).collect();
    let mut bench = bench(&list);
    let picked: std::collections::BTreeSet<_> = slots(&mut bench).into_iter().collect();
    assert!(picked.len() > 9000, "{}", picked.len());
    let tried: Vec<u32> = (0..9_990).collect();
    assert!(bench.pick_again(Some(1), &tried).is_some_and(|slot| slot >= 9_990));
}

#[test]
fn every_mistake_in_the_options_is_told() {
    let told = |config: &str| -> Vec<String> {
        BalancerBench::<RingHash>::new(config)
            .unwrap_err()
            .into_iter()
            .map(|e| format!("{}: {}", e.path, e.message))
            .collect()
    };
    assert_eq!(
        told(r#"{"maximum_ring_size":0,"hash_balance_factor":50}"#),
        [
            "/maximum_ring_size: expected 1 to 524288, not 0",
            "/hash_balance_factor: expected 0 (no bound) or a percentage from 100 to 10000, not 50"
        ]
    );
    assert_eq!(
        told(r#"{"layout":"envoy","minimum_ring_size":9,"maximum_ring_size":8}"#),
        ["/minimum_ring_size: expected at most maximum_ring_size, which is 8"]
    );
    assert_eq!(
        told(r#"{"minimum_ring_size":9}"#),
        ["/minimum_ring_size: only layout `envoy` has it: nginx's has 160 points for each weight"]
    );
    assert!(told(r#"{"layout":"ketama"}"#)[0].starts_with("/layout"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_what_is_ready_and_untried_is_chosen(
        weights in prop::collection::vec(0u32..20, 1..12),
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

    #[test]
    fn points_are_in_order_however_many(weights in prop::collection::vec(1u32..60, 1..60)) {
        let members: Vec<_> = endpoints(&weights)
            .into_iter()
            .map(|e| crate::point::Member { slot: e.slot, address: e.address, weight: e.weight.into(), part: 1.0 })
            .collect();
        let mut points = Vec::new();
        crate::layout::nginx_points(&members, 1 << 20, &mut points);
        prop_assert_eq!(points.len() as u32, 160 * weights.iter().sum::<u32>());
        let mut expected = points.clone();
        expected.sort_unstable();
        crate::ring::sort(&mut points);
        prop_assert_eq!(points, expected);
    }
}

#[test]
fn what_was_prepared_elsewhere_is_taken_over_where_it_fits() {
    let list = endpoints(&[1, 2, 3]);
    let prepared = bench(&list).prepare();
    let mut taking = BalancerBench::<RingHash>::new("").unwrap();
    taking.adopt(&prepared);
    taking.endpoints(&list);
    assert_eq!(slots(&mut taking), slots(&mut bench(&list)));

    // It is really that which is looked at.
    let mut bent = prepared.clone();
    let (places, _fingerprint) = bent.split_at_mut(prepared.len() - 2);
    // Owners are members in the order of their addresses, which is that of the slots here.
    places.iter_mut().skip(1).step_by(2).for_each(|owner| *owner = 2);
    let mut bending = BalancerBench::<RingHash>::new("").unwrap();
    bending.adopt(&bent);
    bending.endpoints(&list);
    assert!(slots(&mut bending).iter().all(|slot| *slot == 2));

    let others = endpoints(&[1, 2, 4]);
    for unfit in [prepared, vec![], vec![0], vec![7; 5]] {
        let mut bench_of_others = BalancerBench::<RingHash>::new("").unwrap();
        bench_of_others.adopt(&unfit);
        bench_of_others.endpoints(&others);
        assert_eq!(slots(&mut bench_of_others), slots(&mut bench(&others)));
    }
}
