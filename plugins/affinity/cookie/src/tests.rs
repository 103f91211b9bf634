use plimsoll_sdk::testing::{AffinityBench, advance, endpoints, set_secret, set_unix_ms, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, Duration, HeaderEdit};
use proptest::prelude::*;

use crate::Cookie;

fn bench(config: &str) -> AffinityBench<Cookie> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

fn set_cookie(bench: &mut AffinityBench<Cookie>, slot: u32) -> String {
    cookie_of(&bench.bind(&[], slot)).expect("a new client gets a cookie")
}

fn cookie_of(edits: &[HeaderEdit]) -> Option<String> {
    let HeaderEdit::Append(header) = edits.first()? else { panic!("{edits:?}") };
    assert_eq!(header.name, "set-cookie");
    Some(String::from_utf8(header.value.clone()).unwrap())
}

fn token(bench: &mut AffinityBench<Cookie>, slot: u32) -> String {
    value(&set_cookie(bench, slot))
}

fn value(cookie: &str) -> String {
    cookie.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
}

/// The cookie that the bearer of a token is given with the answer of a slot.
fn renewed(bench: &mut AffinityBench<Cookie>, token: &str, slot: u32) -> Option<String> {
    cookie_of(&bench.bind(&[(Attribute::Cookie("PLIMSOLL".into()), token)], slot)).map(|cookie| value(&cookie))
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
    let config = r#"{"name":"SRV","ttl":"1h","path":"/app","domain":"a.test","secure":true,"http_only":false,
        "same_site":"none"}"#;
    let cookie = set_cookie(&mut bench(config), 0);
    assert!(cookie.ends_with("; Path=/app; Domain=a.test; Max-Age=3600; Secure; SameSite=None"), "{cookie}");
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
fn derived_keys_can_be_replaced_without_losing_clients() {
    set_secret(b"one");
    let mut before = bench("");
    let mut during = bench(r#"{"epochs":[1,0]}"#);
    let mut after = bench(r#"{"epochs":[1]}"#);
    let mut elsewhere = bench(r#"{"keys":["a brand new secret"],"epochs":[1]}"#);
    let old = token(&mut before, 1);
    assert_eq!(find(&mut during, &old), Binding::Bound(1));
    let new = token(&mut during, 1);
    assert_eq!(find(&mut after, &new), Binding::Bound(1));
    assert_eq!(find(&mut after, &old), Binding::Lost);
    assert_eq!(find(&mut elsewhere, &new), Binding::Bound(1));
    assert_ne!(token(&mut elsewhere, 1), new, "the configured key signs");
}

#[test]
fn a_client_that_pauses_too_long_is_bound_anew() {
    set_unix_ms(1_700_000_000_000);
    let mut bench = bench(r#"{"max_idle":"64s"}"#);
    let token = token(&mut bench, 1);
    advance(Duration::from_secs(1));
    assert_eq!(find(&mut bench, &token), Binding::Bound(1));
    assert_eq!(renewed(&mut bench, &token, 1), None, "not with every answer");
    advance(Duration::from_secs(63));
    assert_eq!(find(&mut bench, &token), Binding::Renew(1));
    let later = renewed(&mut bench, &token, 1).expect("a renewed cookie");
    advance(Duration::from_secs(1));
    assert_eq!(find(&mut bench, &token), Binding::Lost);
    assert_eq!(find(&mut bench, &later), Binding::Bound(1));
    let fresh = renewed(&mut bench, &token, 1).expect("a new cookie for an old one");
    assert_eq!(find(&mut bench, &fresh), Binding::Bound(1));
}

#[test]
fn no_client_stays_longer_than_it_may_live() {
    set_unix_ms(1_700_000_000_000);
    let mut bench = bench(r#"{"max_life":"100s","max_idle":"60s"}"#);
    let mut token = token(&mut bench, 1);
    for _ in 0..4 {
        advance(Duration::from_secs(25));
        assert_eq!(find(&mut bench, &token), Binding::Renew(1));
        token = renewed(&mut bench, &token, 1).expect("a renewed cookie");
    }
    advance(Duration::from_secs(1));
    assert_eq!(find(&mut bench, &token), Binding::Lost);
}

#[test]
fn moving_to_another_endpoint_begins_a_new_life() {
    set_unix_ms(1_700_000_000_000);
    let mut bench = bench(r#"{"max_life":"100s"}"#);
    let token = token(&mut bench, 1);
    advance(Duration::from_secs(60));
    let moved = renewed(&mut bench, &token, 2).expect("a new cookie");
    advance(Duration::from_secs(60));
    assert_eq!((find(&mut bench, &token), find(&mut bench, &moved)), (Binding::Lost, Binding::Bound(2)));
}

#[test]
fn a_cookie_without_a_date_gets_one_and_one_of_tomorrow_is_refused() {
    set_unix_ms(1_700_000_000_000);
    let undated = token(&mut bench(""), 1);
    let mut dated = bench(r#"{"max_idle":"1h"}"#);
    assert_eq!(find(&mut dated, &undated), Binding::Renew(1));
    let token = renewed(&mut dated, &undated, 1).expect("a cookie with a date");
    assert!(token.len() > undated.len());
    assert_eq!(find(&mut bench(""), &token), Binding::Bound(1), "dates are ignored unless asked for");
    set_unix_ms(1_700_000_000_000 - 24 * 3_600_000);
    assert_eq!(find(&mut dated, &token), Binding::Bound(1));
    set_unix_ms(1_700_000_000_000 - 25 * 3_600_000);
    assert_eq!(find(&mut dated, &token), Binding::Lost);
}

#[test]
fn endpoints_see_the_cookie_unless_it_is_indirect() {
    assert!(!bench("").rewrites_requests());
    let mut bench = bench(r#"{"indirect":true}"#);
    assert!(bench.rewrites_requests());
    assert_eq!(bench.prepare(&[]), [HeaderEdit::RemoveCookie("PLIMSOLL".into())]);
}

#[test]
fn an_endpoint_that_sets_the_cookie_itself_has_its_way_if_so_configured() {
    assert!(bench("").response_headers().is_empty());
    let mut bench = bench(r#"{"preserve":true}"#);
    assert_eq!(bench.answered(&[], 1, &[("set-cookie", "a=1"), ("set-cookie", "PLIMSOLL=; Max-Age=0")]), []);
    let edits = bench.answered(&[], 1, &[("set-cookie", "a=1")]);
    let token = value(&cookie_of(&edits).expect("a cookie"));
    let held = [(Attribute::Cookie("PLIMSOLL".into()), token.as_str())];
    assert_eq!(bench.answered(&held, 1, &[("set-cookie", "a=1")]), [], "the client has it already");
}

#[test]
fn caches_are_told_not_to_keep_it() {
    let edits = bench(r#"{"nocache":true}"#).bind(&[], 1);
    assert_eq!(edits[1..], [HeaderEdit::append("cache-control", "private")]);
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"name":"a b","path":"x","domain":"a;b","ttl":"5ms","same_site":"none","keys":["short"]}"#;
    let errors = AffinityBench::<Cookie>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/name", "/path", "/domain", "/ttl", "/same_site", "/keys/0"]);
}

#[test]
fn eight_kilobytes_and_bytes_that_are_no_text_are_no_token() {
    let mut bench = bench("");
    for value in [&[b'A'; 8192][..], &[0xff; 34], b"", &[0; 44]] {
        assert_eq!(bench.find_bytes(&[Some(value)]), Binding::Lost);
    }
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
