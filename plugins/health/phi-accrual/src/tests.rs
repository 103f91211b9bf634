use plimsoll_sdk::testing::{HealthBench, endpoints};
use plimsoll_sdk::{HealthVerdict, Outcome, OutcomeClass};

use crate::PhiAccrual;

fn bench(config: &str) -> HealthBench<PhiAccrual> {
    let mut bench = HealthBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1]));
    bench
}

/// A probe every second; the verdicts, with the second that they came in.
fn probed(bench: &mut HealthBench<PhiAccrual>, from: u64, results: &[bool]) -> Vec<(u64, bool, String)> {
    let mut told = Vec::new();
    for (second, passed) in (from..).zip(results) {
        for transition in bench.probed(second * 1000, 0, *passed) {
            told.push((second, transition.verdict == HealthVerdict::Healthy, transition.reason));
        }
    }
    told
}

#[test]
fn an_unusual_silence_takes_an_endpoint_out_and_a_good_probe_brings_it_back() {
    let mut bench = bench(r#"{"acceptable_pause":"0s"}"#);
    assert_eq!(probed(&mut bench, 0, &[true; 60]), [(0, true, "probes pass".into())]);
    // Of intervals of a second, with half a second of deviation: 3 s of silence are φ 4.7.
    let out = probed(&mut bench, 60, &[false; 10]);
    assert_eq!(out, [(63, false, "no good probe for 4s, φ is 10.7".into())]);
    assert_eq!(probed(&mut bench, 70, &[true, true]), [(70, true, "probes pass".into())]);
    // The outage is no interval as usual: the next one is found as soon.
    assert_eq!(probed(&mut bench, 72, &[false; 10])[0].0, 75);
}

#[test]
fn an_endpoint_that_is_often_silent_is_given_more_time() {
    let mut bench = bench(r#"{"acceptable_pause":"0s"}"#);
    let mut now_ms = 0;
    for nth in 0..100 {
        now_ms += if nth % 5 == 0 { 10_000 } else { 1000 };
        bench.probed(now_ms, 0, true);
    }
    assert!(bench.probed(now_ms + 10_000, 0, false).is_empty());
    assert_eq!(bench.probed(now_ms + 40_000, 0, false).len(), 1);
}

#[test]
fn that_nobody_asked_says_nothing() {
    let mut bench = bench("");
    probed(&mut bench, 0, &[true; 60]);
    assert!(bench.tick(3_600_000).is_empty() && bench.plan().tick.is_none());
    assert!(bench.probed(3_600_000, 0, true).is_empty(), "it was in all the time");
}

#[test]
fn answers_are_signs_of_life_if_that_is_wanted() {
    let answer = Outcome { slot: 0, class: OutcomeClass::Success, status: 200, first_byte_us: 0, total_us: 0 };
    for (config, is_out) in [("{}", true), (r#"{"answers":true}"#, false)] {
        let mut bench = bench(config);
        probed(&mut bench, 0, &[true; 60]);
        assert_eq!(bench.plan().outcomes, !is_out);
        if bench.plan().outcomes {
            bench.outcomes(99_000, &[answer]);
        }
        assert_eq!(!bench.probed(100_000, 0, false).is_empty(), is_out, "{config}");
    }
}

#[test]
fn who_never_passed_is_given_the_first_interval() {
    let mut bench = bench(r#"{"first_interval":"1s","acceptable_pause":"0s"}"#);
    assert_eq!(probed(&mut bench, 5, &[false; 10])[0].0, 9);
    let mut bench = self::bench(r#"{"initial":2,"rise":3}"#);
    assert_eq!(bench.plan().initial_probes, 2);
    assert_eq!(probed(&mut bench, 0, &[true; 4])[0].0, 1);
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in [
        (r#"{"threshold":0}"#, "/threshold"),
        (r#"{"samples":1001}"#, "/samples"),
        (r#"{"first_interval":"0s"}"#, "/first_interval"),
        (r#"{"min_deviation":"0s"}"#, "/min_deviation"),
        (r#"{"rise":0}"#, "/rise"),
    ] {
        assert_eq!(HealthBench::<PhiAccrual>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
