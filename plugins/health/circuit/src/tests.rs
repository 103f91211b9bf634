use plimsoll_sdk::testing::{HealthBench, endpoints};
use plimsoll_sdk::{HealthVerdict, Outcome, OutcomeClass, Transition};

use crate::Circuit;

fn bench(config: &str) -> HealthBench<Circuit> {
    let mut bench = HealthBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

/// As many requests at the second endpoint, of each of these statuses one after the other.
fn answered(bench: &mut HealthBench<Circuit>, now_ms: u64, statuses: &[u16]) -> Vec<String> {
    let outcome = |status: &u16| {
        let class = match status {
            0 => OutcomeClass::Reset,
            1..500 => OutcomeClass::Success,
            _ => OutcomeClass::ServerError,
        };
        Outcome { slot: 1, class, status: *status, first_byte_us: 0, total_us: 0 }
    };
    told(&bench.outcomes(now_ms, &statuses.iter().map(outcome).collect::<Vec<_>>()))
}

fn told(transitions: &[Transition]) -> Vec<String> {
    let one = |t: &Transition| {
        assert_eq!(t.slot, 1);
        format!("{}: {}", if t.verdict == HealthVerdict::Healthy { "in" } else { "out" }, t.reason)
    };
    transitions.iter().map(one).collect()
}

#[test]
fn it_opens_at_the_share_and_not_below_the_volume() {
    let mut bench = bench("");
    assert!(answered(&mut bench, 1000, &[0; 19]).is_empty());
    assert_eq!(answered(&mut bench, 1000, &[503]), ["out: 20 of 20 requests failed, circuit open for 5s"]);
    let mut bench = self::bench("");
    assert!(answered(&mut bench, 1000, &[200, 500, 200].repeat(100)).is_empty());
    let config = r#"{"error_percent":30,"minimum_requests":30}"#;
    assert_eq!(
        answered(&mut self::bench(config), 1000, &[200, 500, 200].repeat(10)),
        ["out: 10 of 30 requests failed, circuit open for 5s"]
    );
}

#[test]
fn failures_of_long_ago_do_not_count() {
    let mut bench = bench("");
    for second in 0..100 {
        assert!(answered(&mut bench, second * 6_000, &[500; 9]).is_empty(), "{second}");
    }
}

#[test]
fn half_open_requests_on_trial_decide() {
    let mut bench = bench("");
    answered(&mut bench, 1000, &[0; 20]);
    assert!(bench.tick(5_999).is_empty() && answered(&mut bench, 5_999, &[0; 50]).is_empty());
    assert_eq!(told(&bench.tick(6_000)), ["in: circuit half open"]);
    assert!(answered(&mut bench, 6_000, &[200, 200]).is_empty());
    assert_eq!(answered(&mut bench, 6_100, &[500]), ["out: a request failed on trial, circuit open for 10s"]);
    assert_eq!(told(&bench.tick(16_100)), ["in: circuit half open"]);
    assert!(answered(&mut bench, 16_100, &[200, 200, 200]).is_empty());
    // Closed: one failure is none.
    assert!(answered(&mut bench, 16_200, &[500]).is_empty());
}

#[test]
fn it_is_open_for_longer_each_time_up_to_a_bound_and_a_good_time_shortens_it() {
    let mut bench = bench(r#"{"max_open":"12s"}"#);
    let mut now_ms = 1000;
    answered(&mut bench, now_ms, &[0; 20]);
    for lasts_ms in [5_000, 10_000, 12_000, 12_000] {
        assert!(bench.tick(now_ms + lasts_ms - 1).is_empty());
        now_ms += lasts_ms;
        assert_eq!(bench.tick(now_ms).len(), 1);
        answered(&mut bench, now_ms, &[0]);
    }
    now_ms += 12_000;
    bench.tick(now_ms);
    answered(&mut bench, now_ms, &[200; 3]);
    for _ in 0..5 {
        now_ms += 12_000;
        answered(&mut bench, now_ms, &[200]);
    }
    assert_eq!(answered(&mut bench, now_ms + 20_000, &[0; 20]), ["out: 20 of 20 requests failed, circuit open for 5s"]);
}

#[test]
fn bad_probes_keep_it_out_while_its_circuit_is_half_open() {
    let mut bench = bench("");
    answered(&mut bench, 1000, &[0; 20]);
    let out: Vec<_> = (0..3).flat_map(|_| bench.probed(1000, 1, false)).collect();
    assert_eq!(out.len(), 1);
    assert!(bench.tick(10_000).is_empty());
    let back: Vec<_> = (0..2).flat_map(|_| bench.probed(10_000, 1, true)).collect();
    assert_eq!(told(&back), ["in: probes pass"]);
    assert_eq!(answered(&mut bench, 10_000, &[0]), ["out: a request failed on trial, circuit open for 10s"]);
}

#[test]
fn clients_that_go_away_are_nobodys_fault() {
    let mut bench = bench("");
    let gone = Outcome { slot: 1, class: OutcomeClass::ClientAbort, status: 0, first_byte_us: 0, total_us: 0 };
    assert!(bench.outcomes(1000, &[gone; 100]).is_empty());
    assert!(answered(&mut bench, 1000, &[501; 100]).is_empty(), "not one of the statuses");
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in [
        (r#"{"minimum_requests":4}"#, "/minimum_requests"),
        (r#"{"error_percent":101}"#, "/error_percent"),
        (r#"{"trials":0}"#, "/trials"),
        (r#"{"window":"0s"}"#, "/window"),
        (r#"{"open_for":"2m"}"#, "/max_open"),
        (r#"{"statuses":[404]}"#, "/statuses/0"),
    ] {
        assert_eq!(HealthBench::<Circuit>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
