use plimsoll_sdk::testing::{AffinityBench, endpoints, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change};
use proptest::prelude::*;

use crate::Route;

fn bench(config: &str) -> AffinityBench<Route> {
    let mut bench = AffinityBench::new(config).unwrap();
    let mut list = endpoints(&[1, 1, 1]);
    list[1].metadata = vec![("zone".into(), "x".into()), ("route".into(), "node1".into())];
    bench.endpoints(&list);
    bench
}

fn cookie(value: &str) -> [(Attribute, &str); 1] {
    [(Attribute::Cookie("JSESSIONID".into()), value)]
}

#[test]
fn the_end_of_the_session_names_the_endpoint() {
    let mut bench = bench("");
    assert_eq!(bench.find(&cookie("8f3a.node1")), Binding::Bound(1));
    assert_eq!(bench.find(&cookie("8.f.3.a.node1")), Binding::Bound(1));
    assert_eq!(bench.find(&cookie("8f3a.c")), Binding::Bound(2), "by its id");
    assert_eq!(bench.find(&cookie("8f3a.b")), Binding::Lost, "it has a name of its own");
    assert_eq!(bench.find(&cookie("8f3a.")), Binding::Lost);
    assert_eq!(bench.find(&cookie("8f3a")), Binding::Unbound);
    assert_eq!(bench.find(&[]), Binding::Unbound);
    assert!(bench.bind(&cookie("8f3a"), 1).is_empty());
}

#[test]
fn the_path_counts_when_there_is_no_cookie() {
    let mut bench = bench("");
    let path = |path| [(Attribute::Path, path)];
    assert_eq!(bench.find(&path("/app;jsessionid=8f3a.node1/page;x=y")), Binding::Bound(1));
    assert_eq!(bench.find(&path("/app;a;jsessionid=8f3a.node1")), Binding::Bound(1));
    assert_eq!(bench.find(&path("/jsessionid=8f3a.node1")), Binding::Unbound);
    assert_eq!(bench.find(&path("/app;jsessionid")), Binding::Unbound);
    let both = [(Attribute::Path, "/;jsessionid=8f3a.node1"), (Attribute::Cookie("JSESSIONID".into()), "8f3a.c")];
    assert_eq!(bench.find(&both), Binding::Bound(2));
}

#[test]
fn the_value_can_be_the_name_and_in_the_query() {
    let mut bench = bench(r#"{"query":"to","separator":""}"#);
    let query = |value| [(Attribute::QueryParameter("to".into()), value)];
    assert_eq!(bench.attributes().len(), 1);
    assert_eq!(bench.find(&query("node1")), Binding::Bound(1));
    assert_eq!(bench.find(&query("x.node1")), Binding::Lost);
}

#[test]
fn draining_keeps_a_client_and_an_unavailable_endpoint_loses_it() {
    let mut bench = bench("");
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.find(&cookie("8f3a.node1")), Binding::Bound(1));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(bench.find(&cookie("8f3a.node1")), Binding::Lost);
}

#[test]
fn the_name_is_of_the_endpoint_and_not_of_the_slot() {
    let mut bench = bench("");
    bench.endpoints(&[with_id(1, "z", "10.0.0.9:80"), with_id(5, "node1", "10.0.0.2:80")]);
    assert_eq!(bench.find(&cookie("8f3a.node1")), Binding::Bound(5));
    bench.endpoints(&[with_id(1, "z", "10.0.0.9:80")]);
    assert_eq!(bench.find(&cookie("8f3a.node1")), Binding::Lost);
}

#[test]
fn a_name_that_no_cookie_can_have_is_told() {
    assert_eq!(AffinityBench::<Route>::new(r#"{"cookie":"a b"}"#).unwrap_err()[0].path, "/cookie");
}

proptest! {
    #[test]
    fn whatever_clients_send_is_no_trap(value in proptest::collection::vec(any::<u8>(), 0..9000), path in "[/;=.a-z]{0,60}") {
        let binding = bench("").find_bytes(&[Some(&value), Some(path.as_bytes())]);
        prop_assert!(matches!(binding, Binding::Lost | Binding::Unbound) || value.ends_with(b".a") || value.ends_with(b".c") || value.is_empty());
    }
}
