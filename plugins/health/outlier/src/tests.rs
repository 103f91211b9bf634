use plimsoll_sdk::testing::{HealthBench, endpoints, with_id};
use plimsoll_sdk::{HealthVerdict, Outcome, OutcomeClass, Transition};

use crate::Outlier;

fn bench(config: &str, count: usize) -> HealthBench<Outlier> {
    let mut bench = HealthBench::new(config).unwrap();
    bench.endpoints(&endpoints(&vec![1; count]));
    bench
}

fn answered(slot: u32, status: u16) -> Outcome {
    let class = if status < 500 { OutcomeClass::Success } else { OutcomeClass::ServerError };
    Outcome { slot, class, status, first_byte_us: 0, total_us: 0 }
}

fn unanswered(slot: u32) -> Outcome {
    Outcome { slot, class: OutcomeClass::Reset, status: 0, first_byte_us: 0, total_us: 0 }
}

fn told(transitions: &[Transition]) -> Vec<(u32, bool, &str)> {
    transitions.iter().map(|t| (t.slot, t.verdict == HealthVerdict::Healthy, t.reason.as_str())).collect()
}

/// Requests at each of the endpoints, so many of a hundred of which fail.
fn hundred(bench: &mut HealthBench<Outlier>, now_ms: u64, failing: &[usize]) -> Vec<Transition> {
    let mut transitions = Vec::new();
    for request in 0..100 {
        let batch: Vec<Outcome> = failing
            .iter()
            .enumerate()
            .map(|(slot, failing)| {
                // Spread, so that few come in a row.
                let fails = (request * failing) % 100 < *failing;
                answered(slot as u32, if fails { 500 } else { 200 })
            })
            .collect();
        transitions.extend(bench.outcomes(now_ms, &batch));
    }
    transitions
}

#[test]
fn failures_in_a_row_eject_of_every_kind_and_an_answer_ends_the_row() {
    let mut bench = bench("", 2);
    let out = bench.outcomes(0, &[answered(0, 500), answered(0, 503), unanswered(0), answered(0, 200)]);
    assert_eq!(told(&out), []);
    let out =
        bench.outcomes(0, &[answered(0, 500), answered(0, 503), unanswered(0), answered(0, 500), answered(0, 500)]);
    assert_eq!(told(&out), [(0, false, "5 requests in a row failed, ejected for 30s")]);
    assert_eq!(told(&bench.tick(29_999)), []);
    assert_eq!(told(&bench.tick(30_000)), [(0, true, "ejection is over")]);
}

#[test]
fn gateway_failures_count_apart() {
    let mut bench = bench(r#"{"consecutive_5xx":0,"consecutive_gateway_failure":3}"#, 2);
    let out =
        bench.outcomes(0, &[answered(0, 502), answered(0, 503), answered(0, 500), answered(0, 504), unanswered(0)]);
    assert_eq!(told(&out), []);
    let out = bench.outcomes(0, &[answered(0, 503)]);
    assert_eq!(told(&out), [(0, false, "3 requests in a row failed as a gateway does, ejected for 30s")]);
}

#[test]
fn what_fails_on_this_side_may_count_apart() {
    let mut bench = bench(r#"{"split_local_origin_errors":true,"consecutive_local_origin_failure":2}"#, 2);
    // No answer says nothing about answers, and none of these is the fifth in a row.
    let batch = [answered(0, 500), answered(0, 500), unanswered(0), answered(0, 500), answered(0, 500), unanswered(0)];
    assert_eq!(told(&bench.outcomes(0, &batch)), []);
    let out = bench.outcomes(0, &[unanswered(0)]);
    assert_eq!(told(&out), [(0, false, "2 attempts in a row got no answer, ejected for 30s")]);
}

#[test]
fn who_succeeds_less_often_than_the_others_is_ejected() {
    let mut bench = bench(r#"{"consecutive_5xx":0}"#, 6);
    bench.tick(0);
    assert_eq!(told(&hundred(&mut bench, 1, &[1, 0, 1, 30, 1, 0])), []);
    assert_eq!(told(&bench.tick(9_999)), []);
    let out = bench.tick(10_000);
    assert_eq!(told(&out), [(3, false, "70 % of its requests succeed, of all 95 %, ejected for 30s")]);
}

#[test]
fn too_few_endpoints_or_requests_are_not_compared() {
    let mut few = bench(r#"{"consecutive_5xx":0}"#, 4);
    few.tick(0);
    hundred(&mut few, 1, &[0, 0, 0, 90]);
    assert_eq!(told(&few.tick(10_000)), []);
    let mut seldom = bench(r#"{"consecutive_5xx":0,"success_rate":{"minimum_requests":101}}"#, 6);
    seldom.tick(0);
    hundred(&mut seldom, 1, &[0, 0, 0, 90, 0, 0]);
    assert_eq!(told(&seldom.tick(10_000)), []);
}

#[test]
fn who_fails_too_often_is_ejected_whatever_the_others_do() {
    let config = r#"{"consecutive_5xx":0,"success_rate":{"enabled":false},
        "failure_percentage":{"enabled":true,"threshold":50,"minimum_endpoints":2}}"#;
    let mut bench = bench(config, 3);
    bench.tick(0);
    hundred(&mut bench, 1, &[50, 49, 60]);
    let out = bench.tick(10_000);
    let expected = [
        (0, false, "50 % of its requests fail, ejected for 30s"),
        (2, false, "60 % of its requests fail, ejected for 30s"),
    ];
    assert_eq!(told(&out), expected);
    // The next interval begins with nothing.
    assert_eq!(told(&bench.tick(20_000)), []);
}

#[test]
fn ejections_grow_and_intervals_without_one_forgive_them() {
    let mut bench = bench(r#"{"consecutive_5xx":1,"base_ejection_time":"10s","max_ejection_time":"25s"}"#, 2);
    let mut now = 0;
    bench.tick(now);
    for seconds in [10, 20, 25, 25] {
        assert_eq!(bench.outcomes(now, &[answered(0, 500)]).len(), 1);
        assert_eq!(told(&bench.tick(now + seconds * 1000 - 1)), []);
        now += seconds * 1000;
        assert_eq!(told(&bench.tick(now)), [(0, true, "ejection is over")]);
    }
    for _ in 0..4 {
        now += 10_000;
        assert_eq!(told(&bench.tick(now)), []);
    }
    let out = bench.outcomes(now, &[answered(0, 500)]);
    assert_eq!(told(&out), [(0, false, "a request failed, ejected for 10s")]);
}

#[test]
fn a_good_probe_ends_an_ejection_where_that_is_wanted() {
    let mut stays = bench(r#"{"consecutive_5xx":1}"#, 2);
    stays.outcomes(0, &[answered(0, 500)]);
    assert_eq!(told(&stays.probed(1, 0, true)), []);
    let mut back = bench(r#"{"consecutive_5xx":1,"probe_ends_ejection":true,"fall":1,"rise":2}"#, 2);
    back.outcomes(0, &[answered(0, 500)]);
    assert_eq!(back.probed(1, 0, true).len(), 1);
    back.outcomes(2, &[answered(0, 500)]);
    assert_eq!(told(&back.probed(3, 0, false)), [(0, false, "a probe failed")]);
    assert_eq!(told(&back.probed(4, 0, true)), []);
    assert_eq!(told(&back.probed(5, 0, true)), [(0, true, "probes pass")]);
}

#[test]
fn jitter_makes_an_ejection_longer_within_its_bound() {
    let mut bench = bench(r#"{"consecutive_5xx":1,"max_ejection_time_jitter":"10s"}"#, 2);
    bench.outcomes(0, &[answered(0, 500)]);
    assert_eq!(told(&bench.tick(29_999)), []);
    assert_eq!(told(&bench.tick(40_000)), [(0, true, "ejection is over")]);
}

#[test]
fn another_endpoint_in_the_same_slot_starts_clean() {
    let mut bench = bench("", 1);
    bench.outcomes(0, &[answered(0, 500); 4]);
    bench.endpoints(&[with_id(0, "other", "10.0.0.9:80")]);
    assert_eq!(told(&bench.outcomes(0, &[answered(0, 500); 4])), []);
    assert_eq!(bench.outcomes(0, &[answered(0, 500)]).len(), 1);
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"rise":0,"interval":"0s","base_ejection_time":"0s","success_rate":{"deviations":-1},
        "failure_percentage":{"threshold":0},"local_origin_failure_percentage":{"threshold":101}}"#;
    let errors = HealthBench::<Outlier>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    let expected = [
        "/rise",
        "/interval",
        "/base_ejection_time",
        "/success_rate/deviations",
        "/failure_percentage/threshold",
        "/local_origin_failure_percentage/threshold",
    ];
    assert_eq!(paths, expected);
}
