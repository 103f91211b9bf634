use plimsoll_sdk::testing::{BalancerBench, endpoints};
use plimsoll_sdk::{Availability, Change};

use crate::Failover;

fn bench(config: &str) -> BalancerBench<Failover> {
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 5, 1]));
    bench
}

fn lose(bench: &mut BalancerBench<Failover>, slot: u32) {
    assert!(bench.changes(&[Change::Availability((slot, Availability::Unavailable))]));
}

fn regain(bench: &mut BalancerBench<Failover>, slot: u32) {
    assert!(bench.changes(&[Change::Availability((slot, Availability::Ready))]));
}

#[test]
fn the_first_that_is_ready_gets_everything() {
    let mut bench = bench("");
    assert!((0..100).all(|_| bench.pick_slot(None) == Some(0)));
    lose(&mut bench, 0);
    assert!((0..100).all(|_| bench.pick_slot(Some(7)) == Some(1)));
    regain(&mut bench, 0);
    assert_eq!(bench.pick_slot(None), Some(0));
}

#[test]
fn without_failing_back_it_stays_and_goes_round() {
    let mut bench = bench(r#"{"fail_back":false}"#);
    lose(&mut bench, 0);
    regain(&mut bench, 0);
    assert_eq!(bench.pick_slot(None), Some(1));
    lose(&mut bench, 1);
    assert_eq!(bench.pick_slot(None), Some(2));
    regain(&mut bench, 1);
    lose(&mut bench, 2);
    assert_eq!(bench.pick_slot(None), Some(0));
}

#[test]
fn a_further_attempt_goes_to_the_next() {
    let mut bench = bench("");
    assert_eq!(bench.pick_again(None, &[0]), Some(1));
    assert_eq!(bench.pick_again(None, &[0, 1]), Some(2));
    assert_eq!(bench.pick_again(None, &[0, 1, 2]), Some(0));
    assert_eq!(bench.pick_slot(None), Some(0), "one failed request is no failed endpoint");
}

#[test]
fn nothing_is_ready_and_then_something_is() {
    let mut bench = bench("");
    (0..3).for_each(|slot| lose(&mut bench, slot));
    assert_eq!(bench.pick_slot(None), None);
    regain(&mut bench, 2);
    assert_eq!(bench.pick_slot(None), Some(2));
}
