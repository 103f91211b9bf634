use plimsoll_sdk::testing::{AffinityBench, advance, endpoints, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, Duration, HeaderEdit};
use proptest::prelude::*;

use crate::Header;

const SESSION: &str = "";
const TOKEN: &str = r#"{"by":"token"}"#;
const ID: &str = r#"{"by":"id"}"#;

fn bench(config: &str) -> AffinityBench<Header> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

fn with(value: &str) -> [(Attribute, &str); 1] {
    [(Attribute::Header("x-session-id".into()), value)]
}

/// What the client is to send from now on, when this was answered by the slot.
fn bound(bench: &mut AffinityBench<Header>, value: &str, slot: u32) -> String {
    match &bench.bind(&with(value), slot)[..] {
        [] => value.to_owned(),
        [HeaderEdit::Set(header)] => {
            assert_eq!(header.name, "x-session-id");
            String::from_utf8(header.value.clone()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_comes_back_to_its_endpoint() {
    for config in [SESSION, TOKEN, ID] {
        let mut bench = bench(config);
        assert_eq!(bench.find(&[]), Binding::Unbound);
        for slot in 0..3 {
            let value = bound(&mut bench, &format!("client {slot}"), slot);
            assert_eq!(bench.find(&with(&value)), Binding::Bound(slot), "{config}");
        }
    }
}

#[test]
fn draining_keeps_a_client_and_one_whose_endpoint_is_gone_moves_once() {
    for config in [SESSION, TOKEN, ID] {
        let mut bench = bench(config);
        let value = bound(&mut bench, "client", 1);
        assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
        assert_eq!(bench.find(&with(&value)), Binding::Bound(1), "{config}");
        assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
        assert_eq!(bench.find(&with(&value)), Binding::Lost, "{config}");
        let value = bound(&mut bench, &value, 2);
        assert!(bench.changes(&[Change::Availability((1, Availability::Ready))]));
        assert_eq!(bench.find(&with(&value)), Binding::Bound(2), "{config}");
    }
}

#[test]
fn a_client_is_of_the_endpoint_and_not_of_the_slot() {
    for config in [SESSION, TOKEN, ID] {
        let mut bench = bench(config);
        let value = bound(&mut bench, "client", 1);
        bench.endpoints(&[with_id(1, "z", "10.0.0.9:80"), with_id(5, "b", "10.0.0.2:80")]);
        assert_eq!(bench.find(&with(&value)), Binding::Bound(5), "{config}");
        bench.endpoints(&[with_id(1, "z", "10.0.0.9:80")]);
        assert_eq!(bench.find(&with(&value)), Binding::Lost, "{config}");
    }
}

#[test]
fn a_session_is_forgotten_after_a_pause() {
    let mut bench = bench(r#"{"ttl":"10s"}"#);
    bench.bind(&with("client"), 1);
    advance(Duration::from_millis(9_999));
    assert_eq!(bench.find(&with("client")), Binding::Bound(1));
    advance(Duration::from_secs(10));
    assert_eq!(bench.find(&with("client")), Binding::Unbound);
}

#[test]
fn a_token_of_another_header_is_worth_nothing() {
    let token = bound(&mut bench(TOKEN), "", 1);
    let mut other = bench(r#"{"by":"token","name":"x-other"}"#);
    assert_eq!(other.find(&[(Attribute::Header("x-other".into()), token.as_str())]), Binding::Lost);
}

#[test]
fn mistakes_are_told_together() {
    let errors =
        AffinityBench::<Header>::new(r#"{"name":"X-A","by":"token","ttl":"0s","keys":["short"]}"#).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/name", "/ttl", "/keys/0"]);
}

proptest! {
    #[test]
    fn whatever_clients_send_is_no_trap(value in proptest::collection::vec(any::<u8>(), 1..9000)) {
        prop_assert_eq!(bench(SESSION).find_bytes(&[Some(&value)]), Binding::Unbound);
        prop_assert_eq!(bench(TOKEN).find_bytes(&[Some(&value)]), Binding::Lost);
        let known = matches!(&value[..], b"a" | b"b" | b"c");
        prop_assert_eq!(bench(ID).find_bytes(&[Some(&value)]) == Binding::Lost, !known);
    }
}
