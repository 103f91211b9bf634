use plimsoll_sdk::testing::{PartitionerBench, endpoint};

use super::*;

const CONFIG: &str = r#"{"zone": "a"}"#;

/// Endpoints of zone `a`, of which some are ready, and ready ones of zone `b`.
fn zones(ready: u32, local: u32, others: u32) -> Vec<Endpoint> {
    let in_zone = |slot: u32| {
        let zone = if slot < local { "a" } else { "b" }.to_owned();
        let down = slot < local && slot >= ready;
        let availability = if down { Availability::Unavailable } else { Availability::Ready };
        Endpoint { zone, availability, ..endpoint(slot) }
    };
    (0..local + others).map(in_zone).collect()
}

/// Percent of 20 000 requests that stay in zone `a`.
fn local_percent(config: &str, endpoints: &[Endpoint]) -> u32 {
    let mut bench = PartitionerBench::<Locality>::new(config).unwrap();
    bench.endpoints(endpoints);
    let local = (0..20_000).filter(|_| bench.choose(&[]) == Some(LOCAL)).count();
    (local as u32 + 100) / 200
}

#[test]
fn all_stays_in_the_zone_while_that_can_carry_it() {
    assert_eq!(local_percent(CONFIG, &zones(10, 10, 10)), 100);
    assert_eq!(local_percent(CONFIG, &zones(8, 10, 10)), 100);
}

#[test]
fn what_the_zone_cannot_carry_goes_elsewhere() {
    assert!(local_percent(CONFIG, &zones(5, 10, 10)).abs_diff(70) <= 2);
    assert_eq!(local_percent(CONFIG, &zones(0, 10, 10)), 0);
    assert_eq!(local_percent(r#"{"zone": "a", "minimum_local": 3}"#, &zones(2, 2, 10)), 0);
}

#[test]
fn without_anything_elsewhere_or_without_a_zone_everything_is_local() {
    assert_eq!(local_percent(CONFIG, &zones(1, 10, 0)), 100);
    assert_eq!(local_percent("{}", &zones(5, 10, 10)), 100);
}

#[test]
fn groups_are_the_zone_and_the_rest() {
    let mut bench = PartitionerBench::<Locality>::new(CONFIG).unwrap();
    let groups = bench.endpoints(&zones(1, 1, 2));
    assert_eq!(groups.iter().map(|group| group.slots.as_slice()).collect::<Vec<_>>(), [&[0][..], &[1, 2]]);
    assert_eq!(bench.endpoints(&[]).len(), 2);
    assert_eq!(bench.choose(&[]), None);
}

#[test]
fn ranges_are_named() {
    for (config, path) in [
        (r#"{"overprovisioning_percent": 1001}"#, "/overprovisioning_percent"),
        (r#"{"minimum_local": 0}"#, "/minimum_local"),
    ] {
        assert_eq!(PartitionerBench::<Locality>::new(config).unwrap_err()[0].path, path);
    }
}
