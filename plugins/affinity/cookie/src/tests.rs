use plimsoll_sdk::testing::{AffinityBench, endpoints, set_secret, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change};
use proptest::prelude::*;

use crate::Cookie;

fn bench(config: &str) -> AffinityBench<Cookie> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

fn set_cookie(bench: &mut AffinityBench<Cookie>, slot: u32) -> String {
    let header = bench.bind(&[], slot).remove(0);
    assert_eq!(header.name, "set-cookie");
    String::from_utf8(header.value).unwrap()
}

fn token(bench: &mut AffinityBench<Cookie>, slot: u32) -> String {
    let cookie = set_cookie(bench, slot);
    cookie.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
}

fn find(bench: &mut AffinityBench<Cookie>, token: &str) -> Binding {
    let Attribute::Cookie(name) = bench.attributes()[0].clone() else { panic!() };
    bench.find(&[(Attribute::Cookie(name), token)])
}

#[test]
fn a_client_comes_back_to_its_endpoint() {
    let mut bench = bench("");
    assert_eq!(bench.find(&[]), Binding::Unbound);
    for slot in 0..3 {
        let token = token(&mut bench, slot);
        for _ in 0..3 {
            assert_eq!(find(&mut bench, &token), Binding::Bound(slot));
        }
    }
}

#[test]
fn the_cookie_is_as_configured() {
    let cookie = set_cookie(&mut bench(""), 0);
    assert!(cookie.starts_with("PLIMSOLL=") && cookie.ends_with("; Path=/; HttpOnly"), "{cookie}");
    let config = r#"{"name":"SRV","ttl":"1h","path":"/app","secure":true,"http_only":false,"same_site":"none"}"#;
    let cookie = set_cookie(&mut bench(config), 0);
    assert!(cookie.ends_with("; Path=/app; Max-Age=3600; Secure; SameSite=None"), "{cookie}");
}

#[test]
fn draining_endpoints_keep_their_clients_and_unavailable_ones_lose_them() {
    let mut bench = bench("");
    let token = token(&mut bench, 1);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(find(&mut bench, &token), Binding::Bound(1));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(find(&mut bench, &token), Binding::Lost);
    assert!(bench.changes(&[Change::Removed(1)]));
    assert_eq!(find(&mut bench, &token), Binding::Lost);
    assert!(bench.bind(&[], 1).is_empty());
}

#[test]
fn the_binding_is_to_the_endpoint_and_not_to_the_slot() {
    let mut bench = bench("");
    let token = token(&mut bench, 0);
    bench.endpoints(&[with_id(0, "z", "10.0.0.9:80"), with_id(7, "a", "10.0.0.1:80")]);
    assert_eq!(find(&mut bench, &token), Binding::Bound(7));
}

#[test]
fn proxies_of_one_secret_understand_each_other() {
    set_secret(b"one");
    let (mut here, mut there) = (bench(""), bench(""));
    let token = token(&mut here, 2);
    assert_eq!(find(&mut there, &token), Binding::Bound(2));
    set_secret(b"two");
    assert_eq!(find(&mut bench(""), &token), Binding::Lost);
}

#[test]
fn keys_can_be_replaced_without_losing_clients() {
    let mut before = bench(r#"{"keys":["an old secret key"]}"#);
    let mut during = bench(r#"{"keys":["a brand new secret","an old secret key"]}"#);
    let mut after = bench(r#"{"keys":["a brand new secret"]}"#);
    let old = token(&mut before, 1);
    assert_eq!(find(&mut during, &old), Binding::Bound(1));
    let new = token(&mut during, 1);
    assert_ne!(new, old);
    assert_eq!(find(&mut after, &new), Binding::Bound(1));
    assert_eq!(find(&mut after, &old), Binding::Lost);
}

#[test]
fn a_token_of_another_cookie_is_worth_nothing() {
    let token = token(&mut bench(r#"{"name":"A"}"#), 1);
    assert_eq!(find(&mut bench(r#"{"name":"B"}"#), &token), Binding::Lost);
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"name":"a b","path":"x","ttl":"5ms","same_site":"none","keys":["short"]}"#;
    let errors = AffinityBench::<Cookie>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/name", "/path", "/ttl", "/same_site", "/keys/0"]);
}

proptest! {
    #[test]
    fn whatever_clients_send_is_no_trap(text in "\\PC{0,80}") {
        prop_assert_eq!(find(&mut bench(""), &text), Binding::Lost);
    }

    #[test]
    fn a_forged_token_is_lost(at in 0usize..34, with in "[A-Za-z0-9_-]", cut in 0usize..34) {
        let mut bench = bench("");
        let good = token(&mut bench, 1);
        let forged = format!("{}{with}{}", &good[..at], &good[at + 1..]);
        let expected = if forged == good { Binding::Bound(1) } else { Binding::Lost };
        prop_assert_eq!(find(&mut bench, &good), Binding::Bound(1));
        prop_assert_eq!(find(&mut bench, &forged), expected);
        prop_assert_eq!(find(&mut bench, &good[..cut]), Binding::Lost);
        prop_assert_eq!(find(&mut bench, &format!("{good}{with}")), Binding::Lost);
    }
}
