use plimsoll_sdk::testing::{AffinityBench, advance, endpoints, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, Duration};
use proptest::prelude::*;

use crate::Learn;

const BEGIN_A: [(&str, &str); 2] = [("set-cookie", "lang=en"), ("set-cookie", "JSESSIONID=a; Path=/; HttpOnly")];

fn bench(config: &str) -> AffinityBench<Learn> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

fn with(session: &str) -> [(Attribute, &str); 1] {
    [(Attribute::Cookie("JSESSIONID".into()), session)]
}

#[test]
fn a_session_stays_where_it_was_begun() {
    let mut bench = bench("");
    assert_eq!(bench.response_headers(), ["set-cookie"]);
    assert_eq!(bench.find(&[]), Binding::Unbound);
    assert!(bench.answered(&[], 1, &BEGIN_A).is_empty(), "the client gets what the application gave");
    assert_eq!(bench.find(&with("a")), Binding::Bound(1));
    assert_eq!(bench.find(&with("b")), Binding::Unbound);
}

#[test]
fn what_a_client_makes_up_begins_no_session() {
    let mut bench = bench("");
    bench.bind(&with("made-up"), 2);
    assert_eq!(bench.find(&with("made-up")), Binding::Unbound);
    bench.answered(&[], 2, &[("set-cookie", "JSESSIONID=; Max-Age=0")]);
    assert_eq!(bench.find(&with("")), Binding::Unbound);
}

#[test]
fn draining_keeps_a_session_and_one_whose_endpoint_is_gone_moves_once() {
    let mut bench = bench("");
    bench.answered(&[], 1, &BEGIN_A);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.find(&with("a")), Binding::Bound(1));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(bench.find(&with("a")), Binding::Lost);
    bench.bind(&with("a"), 2);
    assert_eq!(bench.find(&with("a")), Binding::Bound(2));
    assert!(bench.changes(&[Change::Availability((1, Availability::Ready))]));
    assert_eq!(bench.find(&with("a")), Binding::Bound(2));
}

#[test]
fn a_session_is_of_the_endpoint_and_not_of_the_slot() {
    let mut bench = bench("");
    bench.answered(&[], 1, &BEGIN_A);
    bench.endpoints(&[with_id(1, "z", "10.0.0.9:80"), with_id(5, "b", "10.0.0.2:80")]);
    assert_eq!(bench.find(&with("a")), Binding::Bound(5));
    bench.endpoints(&[with_id(1, "z", "10.0.0.9:80")]);
    assert_eq!(bench.find(&with("a")), Binding::Lost);
}

#[test]
fn a_session_is_forgotten_after_a_pause() {
    let mut bench = bench(r#"{"ttl":"10s"}"#);
    bench.answered(&[], 1, &BEGIN_A);
    for _ in 0..3 {
        advance(Duration::from_millis(9_999));
        assert_eq!(bench.find(&with("a")), Binding::Bound(1));
    }
    advance(Duration::from_secs(10));
    assert_eq!(bench.find(&with("a")), Binding::Unbound);
}

#[test]
fn another_instance_knows_the_sessions() {
    bench("").answered(&[], 1, &BEGIN_A);
    assert_eq!(bench("").find(&with("a")), Binding::Bound(1));
}

#[test]
fn sessions_can_be_named_by_headers_and_looked_up_elsewhere() {
    let mut bench = bench(r#"{"from":[{"header":"x-session"}],"lookup":[{"query":"s"},{"header":"x-session"}]}"#);
    assert_eq!(bench.response_headers(), ["x-session"]);
    bench.answered(&[], 2, &[("x-session", "a")]);
    let (query, header) = (Attribute::QueryParameter("s".into()), Attribute::Header("x-session".into()));
    assert_eq!(bench.find(&[(query.clone(), "a")]), Binding::Bound(2));
    assert_eq!(bench.find(&[(query.clone(), ""), (header.clone(), "a")]), Binding::Bound(2));
    assert_eq!(bench.find(&[(query, "b"), (header, "a")]), Binding::Unbound, "the first that is there counts");
}

#[test]
fn names_of_eight_kilobytes_are_kept_apart() {
    let mut bench = bench("");
    let long = "x".repeat(8192);
    bench.answered(&[], 1, &[("set-cookie", &format!("JSESSIONID={long}"))]);
    assert_eq!(bench.find(&with(&long)), Binding::Bound(1));
    assert_eq!(bench.find(&with(&long[1..])), Binding::Unbound);
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"from":[{"query":"a"},{"cookie":"a b"}],"lookup":[{"header":"X"}],"ttl":"0s"}"#;
    let errors = AffinityBench::<Learn>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/ttl", "/from/1/cookie", "/from/0", "/lookup/0/header"]);
    assert_eq!(AffinityBench::<Learn>::new(r#"{"from":[]}"#).unwrap_err()[0].path, "/from");
    for (source, says) in [
        (r#"{"cookie":"a","header":"b"}"#, "expected a single member"),
        (r#"{"path":"a"}"#, "unknown variant `path`, expected one of `cookie`, `header`, `query`"),
        (r#"{}"#, "expected a member"),
    ] {
        let errors = AffinityBench::<Learn>::new(&format!(r#"{{"from":[{source}]}}"#)).unwrap_err();
        assert_eq!(errors[0].message, says);
    }
}

proptest! {
    #[test]
    fn whatever_clients_send_is_no_trap(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(bench("").find_bytes(&[Some(&value)]), Binding::Unbound);
    }
}
