use plimsoll_sdk::Duration;
use plimsoll_sdk::host::LoadReport;
use plimsoll_sdk::testing::{BalancerBench, advance, endpoints, report_load, set_in_flight};
use proptest::prelude::*;

use crate::Resource;

fn bench(weights: &[u32], config: &str) -> BalancerBench<Resource> {
    let mut bench = BalancerBench::new(config).unwrap();
    bench.endpoints(&endpoints(weights));
    bench
}

fn report(slot: u32, cpu: u32, memory: u32, utilization: u32) {
    let report = LoadReport { cpu, memory, utilization, requests_per_second: 0, errors_per_second: 0, age_ms: 0 };
    report_load(slot, report);
}

fn always(bench: &mut BalancerBench<Resource>, slot: u32) -> bool {
    // Reports are looked at when outcomes come.
    bench.outcomes(&[]);
    (0..50).all(|_| bench.pick_slot(None) == Some(slot))
}

#[test]
fn the_less_used_of_two_is_taken_whatever_its_requests() {
    let mut bench = bench(&[1, 1], "");
    report(0, 700, 0, 0);
    report(1, 300, 0, 0);
    set_in_flight(1, 9);
    assert!(always(&mut bench, 1));
    report(1, 900, 0, 0);
    assert!(always(&mut bench, 0));
}

#[test]
fn the_mix_is_as_configured() {
    let mut bench = bench(&[1, 1], r#"{"cpu":1,"memory":3,"utilization":0}"#);
    report(0, 900, 100, 0);
    report(1, 100, 400, 2000);
    assert!(always(&mut bench, 0), "1200 against 1300");
}

#[test]
fn without_reports_that_count_requests_do() {
    let mut bench = bench(&[1, 1], r#"{"expiration":"10s"}"#);
    set_in_flight(0, 5);
    set_in_flight(1, 2);
    assert!(always(&mut bench, 1), "no reports");
    report(0, 100, 0, 0);
    assert!(always(&mut bench, 1), "one report");
    report(1, 200, 0, 0);
    assert!(always(&mut bench, 0));
    advance(Duration::from_millis(10_001));
    assert!(always(&mut bench, 1), "old reports");
    report(0, 0, 500, 0);
    report(1, 0, 700, 0);
    assert!(always(&mut bench, 1), "reports of something else");
}

#[test]
fn one_that_is_not_used_much_does_not_get_everything() {
    let mut bench = bench(&[1; 10], "");
    (0..10).for_each(|slot| report(slot, 500 + slot, 0, 0));
    bench.outcomes(&[]);
    let picks = (0..20_000).filter(|_| bench.pick_slot(None) == Some(0)).count();
    assert!((3500..4500).contains(&picks), "{picks}: two of ten draws");
}

#[test]
fn a_mix_of_nothing_is_refused() {
    let refused = |config| BalancerBench::<Resource>::new(config).unwrap_err()[0].path.clone();
    assert_eq!(refused(r#"{"cpu":0,"utilization":0}"#), "");
    assert!(BalancerBench::<Resource>::new(r#"{"cpu":1001}"#).is_err());
}

proptest! {
    #[test]
    fn tried_endpoints_are_chosen_only_when_there_is_no_other(
        weights in prop::collection::vec(0u32..1000, 1..8),
        tried in prop::collection::vec(0u32..8, 0..8),
    ) {
        let mut bench = bench(&weights, "");
        (0..8).for_each(|slot| report(slot, 100 * slot, 0, 0));
        bench.outcomes(&[]);
        let usable: Vec<u32> = (0..).zip(&weights).filter(|(_, w)| **w > 0).map(|(slot, _)| slot).collect();
        let left: Vec<u32> = usable.iter().copied().filter(|slot| !tried.contains(slot)).collect();
        let picked = if tried.is_empty() { bench.pick_slot(None) } else { bench.pick_again(None, &tried) };
        match (&left[..], &usable[..]) {
            ([], []) => prop_assert_eq!(picked, None),
            ([], usable) => prop_assert!(usable.contains(&picked.unwrap())),
            (left, _) => prop_assert!(left.contains(&picked.unwrap())),
        }
    }
}
