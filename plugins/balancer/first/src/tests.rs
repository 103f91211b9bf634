use plimsoll_sdk::testing::{BalancerBench, endpoints, set_in_flight};
use plimsoll_sdk::{Availability, Change};

use crate::First;

fn bench(bounds: &[u32]) -> BalancerBench<First> {
    let mut list = endpoints(&vec![1; bounds.len()]);
    for (endpoint, bound) in list.iter_mut().zip(bounds) {
        endpoint.max_connections = *bound;
    }
    let mut bench = BalancerBench::new("").unwrap();
    bench.endpoints(&list);
    bench
}

#[test]
fn an_endpoint_is_filled_before_the_next_gets_anything() {
    let mut bench = bench(&[2, 1, 5]);
    let mut load = [0; 3];
    let picks: Vec<u32> = (0..8)
        .map(|_| {
            let slot = bench.pick_slot(None).unwrap();
            load[slot as usize] += 1;
            set_in_flight(slot, load[slot as usize]);
            slot
        })
        .collect();
    assert_eq!(picks, [0, 0, 1, 2, 2, 2, 2, 2]);
    set_in_flight(0, 1);
    assert_eq!(bench.pick_slot(None), Some(0), "room at the front is used first");
}

#[test]
fn without_a_bound_the_first_takes_all() {
    let mut bench = bench(&[0, 1]);
    set_in_flight(0, 1_000_000);
    assert_eq!(bench.pick_slot(None), Some(0));
}

#[test]
fn when_all_are_full_it_is_the_first_that_was_not_tried() {
    let mut bench = bench(&[1, 1]);
    set_in_flight(0, 1);
    set_in_flight(1, 1);
    assert_eq!(bench.pick_slot(None), Some(0));
    assert_eq!(bench.pick_again(None, &[0]), Some(1));
    assert_eq!(bench.pick_again(None, &[0, 1]), Some(0));
}

#[test]
fn what_was_tried_or_takes_nothing_new_is_passed_over() {
    let mut bench = bench(&[9, 9, 9]);
    assert_eq!(bench.pick_again(None, &[0]), Some(1));
    assert!(bench.changes(&[Change::Availability((0, Availability::Draining)), Change::Weight((1, 0))]));
    assert_eq!(bench.pick_slot(None), Some(2));
    assert!(bench.changes(&[Change::Removed(2)]));
    assert_eq!(bench.pick_slot(None), None);
}
