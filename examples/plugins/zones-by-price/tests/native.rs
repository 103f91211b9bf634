use plimsoll_sdk::testing::{PartitionerBench, endpoints, set_in_flight};
use plimsoll_sdk::{Availability, Endpoint};
use zones_by_price::ZonesByPrice;

fn zoned(zones: &[&str]) -> Vec<Endpoint> {
    let mut all = endpoints(&vec![1; zones.len()]);
    all.iter_mut().zip(zones).for_each(|(endpoint, zone)| endpoint.zone = (*zone).to_owned());
    all
}

fn bench() -> PartitionerBench<ZonesByPrice> {
    PartitionerBench::new(r#"{"prices":{"near":1,"far":9},"attempts":2}"#).unwrap()
}

#[test]
fn the_cheapest_zone_is_filled_before_the_next() {
    let mut bench = bench();
    let groups = bench.endpoints(&zoned(&["far", "near", "near", "nowhere"]));
    let chosen = |bench: &mut PartitionerBench<ZonesByPrice>| groups[bench.choose(&[]).unwrap() as usize].name.clone();
    assert_eq!(chosen(&mut bench), "near");
    set_in_flight(1, 3);
    assert_eq!(chosen(&mut bench), "near", "two endpoints have room for four");
    set_in_flight(2, 1);
    assert_eq!(chosen(&mut bench), "far");
    set_in_flight(0, 2);
    assert_eq!(chosen(&mut bench), "nowhere", "what has no price costs 100");
    set_in_flight(3, 9);
    assert_eq!(chosen(&mut bench), "near", "when all are full, the one with the fewest, and the cheapest of these");
}

#[test]
fn a_zone_that_is_out_of_service_gets_nothing() {
    let mut bench = bench();
    let mut all = zoned(&["far", "near"]);
    all[1].availability = Availability::Unavailable;
    let groups = bench.endpoints(&all);
    assert_eq!(groups[bench.choose(&[]).unwrap() as usize].name, "far");
    all[0].availability = Availability::Draining;
    bench.endpoints(&all);
    assert_eq!(bench.choose(&[]), None);
}
