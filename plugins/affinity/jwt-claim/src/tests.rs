use plimsoll_sdk::testing::{AffinityBench, advance, endpoints, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, Duration};
use proptest::prelude::*;

use crate::JwtClaim;

/// The example of RFC 7519 section 3.1, whose `iss` is `joe`.
const JOE: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                   cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// `{"iss":"joe"}`, signed by nobody.
const ALSO_JOE: &str = "e30.eyJpc3MiOiJqb2UifQ.";
/// `{"iss":"ann"}`
const ANN: &str = "e30.eyJpc3MiOiJhbm4ifQ.";

fn bench(config: &str) -> AffinityBench<JwtClaim> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

const ISSUER: &str = r#"{"claim":"iss","cookie":"token","ttl":"10s"}"#;

fn with(value: &str) -> [(Attribute, &str); 1] {
    [(Attribute::Header("authorization".into()), value)]
}

#[test]
fn bearers_of_one_claim_stay_together() {
    let mut bench = bench(ISSUER);
    let joe = format!("Bearer {JOE}");
    assert_eq!(bench.find(&with(&joe)), Binding::Unbound);
    bench.bind(&with(&joe), 1);
    assert_eq!(bench.find(&with(&joe)), Binding::Bound(1));
    assert_eq!(bench.find(&with(&format!("bearer  {ALSO_JOE}"))), Binding::Bound(1));
    assert_eq!(bench.find(&[(Attribute::Cookie("token".into()), ALSO_JOE)]), Binding::Bound(1));
    assert_eq!(bench.find(&with(ANN)), Binding::Unbound);
}

#[test]
fn the_cookie_counts_before_the_header() {
    let mut bench = bench(ISSUER);
    bench.bind(&with(ANN), 2);
    let both = [(Attribute::Cookie("token".into()), ANN), (Attribute::Header("authorization".into()), JOE)];
    assert_eq!(bench.find(&both), Binding::Bound(2));
}

#[test]
fn draining_keeps_a_bearer_and_one_whose_endpoint_is_gone_moves_once() {
    let mut bench = bench(ISSUER);
    bench.bind(&with(JOE), 1);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.find(&with(JOE)), Binding::Bound(1));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(bench.find(&with(JOE)), Binding::Lost);
    bench.bind(&with(JOE), 2);
    assert!(bench.changes(&[Change::Availability((1, Availability::Ready))]));
    assert_eq!(bench.find(&with(JOE)), Binding::Bound(2));
}

#[test]
fn a_bearer_is_of_the_endpoint_and_not_of_the_slot() {
    let mut bench = bench(ISSUER);
    bench.bind(&with(JOE), 1);
    bench.endpoints(&[with_id(1, "z", "10.0.0.9:80"), with_id(5, "b", "10.0.0.2:80")]);
    assert_eq!(bench.find(&with(JOE)), Binding::Bound(5));
}

#[test]
fn a_bearer_is_forgotten_after_a_pause() {
    let mut bench = bench(ISSUER);
    bench.bind(&with(JOE), 1);
    advance(Duration::from_millis(9_999));
    assert_eq!(bench.find(&with(JOE)), Binding::Bound(1));
    advance(Duration::from_secs(10));
    assert_eq!(bench.find(&with(JOE)), Binding::Unbound);
}

#[test]
fn what_is_no_token_binds_nobody() {
    let mut bench = bench(ISSUER);
    let long = format!("e30.{}.", "A".repeat(8192));
    for value in ["", "Bearer", "Bearer ", "Basic YTpi", "a.b", "a.b.c.d", "e30.e30.", "..", "e30.!.", &long] {
        bench.bind(&with(value), 1);
        assert_eq!(bench.find(&with(value)), Binding::Unbound, "{value}");
    }
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"claim":"","header":"A","cookie":"a;b","ttl":"0s"}"#;
    let errors = AffinityBench::<JwtClaim>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/claim", "/header", "/cookie", "/ttl"]);
}

proptest! {
    #[test]
    fn whatever_clients_send_is_no_trap(value in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(bench(ISSUER).find_bytes(&[Some(&value), Some(&value)]), Binding::Unbound);
    }
}
