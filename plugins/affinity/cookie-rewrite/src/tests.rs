use plimsoll_sdk::testing::{AffinityBench, endpoints, set_secret, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, HeaderEdit};
use proptest::prelude::*;

use crate::CookieRewrite;

fn bench(config: &str) -> AffinityBench<CookieRewrite> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

fn with(value: &str) -> [(Attribute, &str); 1] {
    [(Attribute::Cookie("SERVERID".into()), value)]
}

fn text(edit: &HeaderEdit) -> String {
    let HeaderEdit::Append(header) = edit else { panic!("{edit:?}") };
    assert_eq!(header.name, "set-cookie");
    String::from_utf8(header.value.clone()).unwrap()
}

/// What the client holds when the application at the slot set the cookie.
fn held(bench: &mut AffinityBench<CookieRewrite>, slot: u32) -> String {
    let edits =
        bench.answered(&[], slot, &[("set-cookie", "lang=en"), ("set-cookie", "SERVERID=any; Path=/; Max-Age=60")]);
    assert_eq!(edits[..2], [HeaderEdit::Remove("set-cookie".into()), HeaderEdit::append("set-cookie", "lang=en")]);
    let field = text(&edits[2]);
    field.strip_prefix("SERVERID=").unwrap().strip_suffix("; Path=/; Max-Age=60").unwrap().to_owned()
}

#[test]
fn the_cookie_that_the_application_sets_is_filled() {
    let mut bench = bench("");
    assert!(!bench.rewrites_requests());
    for slot in 0..3 {
        let held = held(&mut bench, slot);
        assert_eq!(bench.find(&with(&held)), Binding::Bound(slot));
    }
    assert_eq!(bench.find(&[]), Binding::Unbound);
    assert_eq!(bench.find(&with("any")), Binding::Lost, "from before the proxy");
}

#[test]
fn the_application_decides_who_is_bound() {
    let mut bench = bench("");
    assert_eq!(bench.bind(&[], 1), []);
    assert_eq!(bench.answered(&[], 1, &[("set-cookie", "lang=en")]), []);
}

#[test]
fn draining_keeps_a_client_and_an_unavailable_endpoint_loses_it() {
    let mut bench = bench("");
    let held = held(&mut bench, 1);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.find(&with(&held)), Binding::Bound(1));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(bench.find(&with(&held)), Binding::Lost);
    assert_eq!(bench.bind(&with(&held), 2), []);
}

#[test]
fn a_client_that_moves_gets_its_cookie_again_if_so_configured() {
    let mut bench = bench(r#"{"reissue":"Path=/"}"#);
    let held = held(&mut bench, 1);
    let field = text(&bench.bind(&with(&held), 2)[0]);
    let moved = field.strip_prefix("SERVERID=").unwrap().strip_suffix("; Path=/").unwrap();
    assert_eq!(bench.find(&with(moved)), Binding::Bound(2));
    assert_eq!(bench.bind(&with(moved), 2), []);
    assert_eq!(bench.bind(&[], 2), []);
}

#[test]
fn the_binding_is_to_the_endpoint_and_not_to_the_slot() {
    let mut bench = bench("");
    let held = held(&mut bench, 1);
    bench.endpoints(&[with_id(1, "z", "10.0.0.9:80"), with_id(5, "b", "10.0.0.2:80")]);
    assert_eq!(bench.find(&with(&held)), Binding::Bound(5));
}

#[test]
fn proxies_of_one_secret_understand_each_other() {
    set_secret(b"one");
    let held = held(&mut bench(""), 1);
    assert_eq!(bench("").find(&with(&held)), Binding::Bound(1));
    set_secret(b"two");
    assert_eq!(bench("").find(&with(&held)), Binding::Lost);
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"name":"a b","reissue":"Path=ä","keys":["short"]}"#;
    let errors = AffinityBench::<CookieRewrite>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/name", "/reissue", "/keys/0"]);
}

proptest! {
    #[test]
    fn whatever_clients_send_is_no_trap(value in proptest::collection::vec(any::<u8>(), 0..9000)) {
        prop_assert_eq!(bench("").find_bytes(&[Some(&value)]), Binding::Lost);
    }
}
