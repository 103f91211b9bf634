use plimsoll_sdk::testing::{AffinityBench, endpoints, set_secret, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, Header, HeaderEdit};
use proptest::prelude::*;

use crate::CookiePrefix;

fn bench(config: &str) -> AffinityBench<CookiePrefix> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

fn with(value: &str) -> [(Attribute, &str); 1] {
    [(Attribute::Cookie("JSESSIONID".into()), value)]
}

/// The fields that the client gets when the application sent these.
fn sent(bench: &mut AffinityBench<CookiePrefix>, slot: u32, fields: &[&str]) -> Vec<String> {
    let fields: Vec<_> = fields.iter().map(|field| ("set-cookie", *field)).collect();
    let edits = bench.answered(&[], slot, &fields);
    assert_eq!(edits.first(), Some(&HeaderEdit::Remove("set-cookie".into())));
    edits[1..].iter().map(text).collect()
}

fn text(edit: &HeaderEdit) -> String {
    let HeaderEdit::Append(header) = edit else { panic!("{edit:?}") };
    assert_eq!(header.name, "set-cookie");
    String::from_utf8(header.value.clone()).unwrap()
}

/// What the client holds of the application's cookie with value `s1`.
fn held(bench: &mut AffinityBench<CookiePrefix>, slot: u32) -> String {
    let field = sent(bench, slot, &["JSESSIONID=s1; Path=/"]).remove(0);
    field.strip_prefix("JSESSIONID=").unwrap().strip_suffix("; Path=/").unwrap().to_owned()
}

#[test]
fn the_prefix_comes_with_the_applications_cookie_and_goes_before_the_endpoint() {
    let mut bench = bench("");
    let fields = sent(&mut bench, 1, &["lang=en; Path=/", "JSESSIONID=s1; Path=/; HttpOnly"]);
    assert_eq!(fields[0], "lang=en; Path=/");
    assert!(fields[1].starts_with("JSESSIONID=") && fields[1].ends_with("~s1; Path=/; HttpOnly"), "{fields:?}");
    let held = held(&mut bench, 1);
    assert_eq!(bench.find(&with(&held)), Binding::Bound(1));
    let seen = Header { name: "JSESSIONID".into(), value: b"s1".to_vec() };
    assert_eq!(bench.prepare(&with(&held)), [HeaderEdit::ReplaceCookie(seen)]);
    assert_eq!(bench.prepare(&with("plain")), [], "a cookie from before the proxy");
    assert_eq!(bench.find(&with("plain")), Binding::Unbound);
    assert_eq!(bench.find(&with("a~b")), Binding::Unbound);
}

#[test]
fn answers_without_the_cookie_stay_as_they_are() {
    let mut bench = bench("");
    assert_eq!(bench.bind(&[], 1), []);
    assert_eq!(bench.answered(&[], 1, &[("set-cookie", "lang=en")]), []);
    assert_eq!(bench.answered(&[], 1, &[("set-cookie", "JSESSIONID=; Max-Age=0")]), [], "the end of a session");
}

#[test]
fn draining_keeps_a_client_and_an_unavailable_endpoint_loses_it() {
    let mut bench = bench("");
    let held = held(&mut bench, 1);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.find(&with(&held)), Binding::Bound(1));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(bench.find(&with(&held)), Binding::Lost);
    assert_eq!(bench.prepare(&with(&held)).len(), 1, "the next endpoint does not see the prefix either");
    assert_eq!(bench.bind(&with(&held), 2), [], "the application sets the cookie, or nobody");
}

#[test]
fn a_client_that_moves_gets_its_cookie_again_if_so_configured() {
    let mut bench = bench(r#"{"reissue":"Path=/; Secure"}"#);
    let held = held(&mut bench, 1);
    let field = text(&bench.bind(&with(&held), 2)[0]);
    let moved = field.strip_prefix("JSESSIONID=").unwrap().strip_suffix("; Path=/; Secure").unwrap();
    assert!(moved.ends_with("~s1"));
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
fn proxies_of_one_secret_understand_each_other_and_others_still_take_the_prefix_away() {
    set_secret(b"one");
    let held = held(&mut bench(""), 1);
    assert_eq!(bench("").find(&with(&held)), Binding::Bound(1));
    set_secret(b"two");
    assert_eq!(bench("").find(&with(&held)), Binding::Lost);
    assert_eq!(bench("").prepare(&with(&held)).len(), 1);
}

#[test]
fn mistakes_are_told_together() {
    let config = r#"{"name":"a b","reissue":"Path=/\n","keys":["short"]}"#;
    let errors = AffinityBench::<CookiePrefix>::new(config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/name", "/reissue", "/keys/0"]);
}

proptest! {
    #[test]
    fn whatever_clients_send_is_no_trap(value in proptest::collection::vec(any::<u8>(), 0..9000)) {
        prop_assert_eq!(bench("").find_bytes(&[Some(&value)]), Binding::Unbound);
    }

    #[test]
    fn the_endpoint_sees_what_it_set(value in "[!-:<-~]{1,60}") {
        let mut bench = bench("");
        let field = sent(&mut bench, 2, &[&format!("JSESSIONID={value}")]).remove(0);
        let held = field.strip_prefix("JSESSIONID=").unwrap();
        prop_assert_eq!(bench.find(&with(held)), Binding::Bound(2));
        let seen = Header { name: "JSESSIONID".into(), value: value.into_bytes() };
        prop_assert_eq!(bench.prepare(&with(held)), [HeaderEdit::ReplaceCookie(seen)]);
    }

    #[test]
    fn a_tampered_prefix_binds_nobody(at in 0usize..34, with_letter in "[A-Za-z0-9_-]") {
        let mut bench = bench("");
        let good = held(&mut bench, 1);
        let forged = format!("{}{with_letter}{}", &good[..at], &good[at + 1..]);
        prop_assert_eq!(bench.find(&with(&forged)) == Binding::Bound(1), forged == good);
    }
}
