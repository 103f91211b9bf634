use plimsoll_sdk::testing::{HealthBench, endpoints, with_id};
use plimsoll_sdk::{Duration, Evidence, HealthVerdict, Outcome, OutcomeClass, Transition};
use proptest::prelude::*;

use crate::Thresholds;

fn bench(config: &str) -> HealthBench<Thresholds> {
    let mut bench = HealthBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1]));
    bench
}

fn outcome(slot: u32, class: OutcomeClass, status: u16) -> Outcome {
    Outcome { slot, class, status, first_byte_us: 0, total_us: 0 }
}

fn failed(slot: u32) -> Outcome {
    outcome(slot, OutcomeClass::ConnectFailure, 0)
}

fn good(slot: u32) -> Outcome {
    outcome(slot, OutcomeClass::Success, 200)
}

fn only(transitions: Vec<Transition>) -> Option<(u32, HealthVerdict, Evidence)> {
    assert!(transitions.len() < 2, "{transitions:?}");
    transitions.first().map(|t| (t.slot, t.verdict, t.evidence))
}

const OUT: Option<(u32, HealthVerdict, Evidence)> = Some((0, HealthVerdict::Unhealthy, Evidence::Probe));
const BACK: Option<(u32, HealthVerdict, Evidence)> = Some((0, HealthVerdict::Healthy, Evidence::Probe));
const EJECTED: Option<(u32, HealthVerdict, Evidence)> = Some((0, HealthVerdict::Unhealthy, Evidence::Traffic));
const RETURNED: Option<(u32, HealthVerdict, Evidence)> = Some((0, HealthVerdict::Healthy, Evidence::Traffic));

#[test]
fn three_bad_probes_take_out_and_two_good_ones_bring_back() {
    let mut bench = bench("");
    let results = [false, false, true, false, false, false, false, true, false, true, true, true];
    let got: Vec<_> = results.iter().map(|passed| only(bench.probed(0, 0, *passed))).collect();
    let mut expected = vec![None; 12];
    (expected[2], expected[5], expected[10]) = (BACK, OUT, BACK);
    assert_eq!(got, expected);
}

#[test]
fn a_new_endpoint_may_have_to_prove_itself() {
    let mut bench = bench(r#"{"initial":2}"#);
    assert_eq!(bench.plan().initial_probes, 2);
    let got: Vec<_> = [true, false, true, true].iter().map(|passed| only(bench.probed(0, 0, *passed))).collect();
    assert_eq!(got, [None, None, None, BACK]);
}

#[test]
fn a_new_endpoint_may_be_taken_out_sooner() {
    let mut bench = bench(r#"{"initial_fall":1,"fall":2,"rise":1}"#);
    let got: Vec<_> =
        [false, true, false, true, false, false].iter().map(|passed| only(bench.probed(0, 0, *passed))).collect();
    assert_eq!(got, [OUT, BACK, None, None, None, OUT], "as HAProxy's init-state `up`");
    assert!(HealthBench::<Thresholds>::new(r#"{"initial_fall":0}"#).is_err());
}

#[test]
fn the_reason_names_what_the_prober_said() {
    let mut bench = bench(r#"{"fall":1}"#);
    let reason = bench.probed(0, 0, false).remove(0).reason;
    assert_eq!(reason, "a probe failed");
}

#[test]
fn failures_in_a_row_eject_and_time_brings_back() {
    let mut bench = bench(r#"{"passive":{"failures":3,"eject_for":"10s"}}"#);
    assert_eq!(only(bench.outcomes(0, &[failed(0), failed(0), good(0), failed(0), failed(0)])), None);
    assert_eq!(only(bench.outcomes(1000, &[failed(0)])), EJECTED);
    assert_eq!(only(bench.outcomes(1500, &[failed(0), failed(0), failed(0)])), None);
    assert_eq!(only(bench.tick(10_999)), None);
    assert_eq!(only(bench.tick(11_000)), RETURNED);
    assert_eq!(only(bench.tick(11_500)), None);
}

#[test]
fn failures_within_a_time_eject_whatever_succeeds_between() {
    let mut bench = bench(r#"{"passive":{"failures":3,"within":"10s"}}"#);
    assert_eq!(only(bench.outcomes(0, &[failed(0), good(0)])), None);
    assert_eq!(only(bench.outcomes(9_000, &[failed(0), good(0)])), None);
    // The first one is too long ago.
    assert_eq!(only(bench.outcomes(10_000, &[failed(0), good(0)])), None);
    let out = bench.outcomes(12_000, &[failed(0)]);
    assert_eq!(out[0].reason, "3 failed requests within 10s, ejected for 10s");
    assert_eq!(only(out), EJECTED);
    assert_eq!(only(bench.tick(22_000)), RETURNED);
}

#[test]
fn each_ejection_lasts_longer_until_the_cap_and_good_times_forgive() {
    let mut bench = bench(r#"{"passive":{"failures":1,"eject_for":"10s","max_eject":"25s"}}"#);
    let mut now = 0;
    for seconds in [10, 20, 25, 25] {
        assert_eq!(only(bench.outcomes(now, &[failed(0)])), EJECTED);
        assert_eq!(only(bench.tick(now + seconds * 1000 - 1)), None);
        now += seconds * 1000;
        assert_eq!(only(bench.tick(now)), RETURNED);
    }
    for _ in 0..4 {
        now += 25_000;
        assert_eq!(only(bench.outcomes(now, &[good(0)])), None);
    }
    assert_eq!(only(bench.outcomes(now, &[failed(0)])), EJECTED);
    assert_eq!(only(bench.tick(now + 10_000)), RETURNED);
}

#[test]
fn what_the_endpoint_is_not_to_blame_for_never_counts() {
    let mut bench = bench(r#"{"passive":{"failures":1}}"#);
    let harmless = [
        outcome(0, OutcomeClass::ClientAbort, 0),
        outcome(0, OutcomeClass::Success, 404),
        outcome(0, OutcomeClass::Success, 429),
        outcome(0, OutcomeClass::ServerError, 500),
    ];
    assert_eq!(only(bench.outcomes(0, &harmless)), None);
    assert_eq!(only(bench.outcomes(0, &[outcome(0, OutcomeClass::ServerError, 503)])), EJECTED);
}

#[test]
fn an_ejected_endpoint_that_fails_its_probes_stays_out() {
    let mut bench = bench(r#"{"fall":1,"rise":1,"passive":{"failures":1}}"#);
    assert_eq!(only(bench.outcomes(0, &[failed(0)])), EJECTED);
    assert_eq!(only(bench.probed(1, 0, false)), OUT);
    assert_eq!(only(bench.tick(60_000)), None);
    assert_eq!(only(bench.probed(60_001, 0, true)), BACK);
}

#[test]
fn a_good_probe_does_not_end_an_ejection() {
    let mut bench = bench(r#"{"fall":1,"rise":1,"passive":{"failures":1}}"#);
    assert_eq!(only(bench.probed(0, 0, false)), OUT);
    assert_eq!(only(bench.outcomes(0, &[failed(0)])), EJECTED);
    assert_eq!(only(bench.probed(1, 0, true)), None);
    assert_eq!(only(bench.tick(10_000)), RETURNED);
}

#[test]
fn another_endpoint_in_the_same_slot_starts_clean() {
    let mut bench = bench(r#"{"fall":2}"#);
    assert_eq!(only(bench.probed(0, 0, false)), None);
    bench.endpoints(&[with_id(0, "other", "10.0.0.9:80")]);
    assert_eq!(only(bench.probed(0, 0, false)), None);
    assert_eq!(only(bench.probed(0, 1, false)), None);
    assert_eq!(only(bench.probed(0, 0, false)), OUT);
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_out_for_the_jump() {
    let mut bench = bench(r#"{"passive":{"failures":1,"eject_for":"10s"}}"#);
    assert_eq!(only(bench.outcomes(3_600_000, &[failed(0)])), EJECTED);
    assert_eq!(only(bench.tick(3_605_000)), None);
    assert_eq!(only(bench.tick(5_000)), None);
    assert_eq!(only(bench.tick(14_999)), None);
    assert_eq!(only(bench.tick(15_000)), RETURNED);
}

#[test]
fn live_traffic_can_be_left_out() {
    let mut bench = bench(r#"{"passive":"off"}"#);
    assert_eq!((bench.plan().outcomes, bench.plan().tick), (false, None));
    assert_eq!(only(bench.outcomes(0, &[failed(0); 50])), None);
    assert_eq!(self::bench("").plan().tick, Some(Duration::from_millis(500)));
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"rise":0,"passive":{"failures":0,"max_eject":"1s","statuses":[404]}}"#;
    let errors = HealthBench::<Thresholds>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/rise", "/passive/failures", "/passive/max_eject", "/passive/statuses/0"]);
    for (config, path, says) in [
        (r#"{"passive":"on"}"#, "/passive", "invalid value: string \"on\", expected `off`, or an object"),
        (r#"{"passive":3}"#, "/passive", "invalid type: integer `3`, expected `off`, or an object"),
        (r#"{"passive":{"failures":"x"}}"#, "/passive/failures", "invalid type: string \"x\", expected u32"),
        (r#"{"passive":{"within":"0s"}}"#, "/passive/within", "expected more than no time"),
        (r#"{"passive":{"failure":1}}"#, "/passive/failure", "unknown field `failure`, expected one of"),
    ] {
        let errors = HealthBench::<Thresholds>::new(config).unwrap_err();
        let error = &errors[0];
        assert_eq!(error.path, path);
        assert!(error.message.starts_with(says), "{}", error.message);
    }
}

proptest! {
    #[test]
    fn opinions_alternate(probes in prop::collection::vec((any::<bool>(), 0u32..2), 0..200)) {
        let mut bench = bench("");
        let mut last = [None; 2];
        for (passed, slot) in probes {
            for transition in bench.probed(0, slot, passed) {
                prop_assert_eq!(transition.slot, slot);
                prop_assert_ne!(last[slot as usize], Some(transition.verdict));
                last[slot as usize] = Some(transition.verdict);
            }
        }
    }
}
