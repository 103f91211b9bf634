use plimsoll_sdk::testing::{AffinityBench, advance, endpoints};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, Duration};

use plugin_crate::PluginType;

fn session(name: &str) -> [(Attribute, &str); 1] {
    [(Attribute::Header("x-session".into()), name)]
}

#[test]
fn a_session_stays_with_its_endpoint_for_a_while() {
    let mut bench = AffinityBench::<PluginType>::new(r#"{"header":"x-session","ttl":"10s"}"#).unwrap();
    bench.endpoints(&endpoints(&[1, 1]));
    assert_eq!(bench.find(&session("a")), Binding::Unbound);
    assert!(bench.bind(&session("a"), 1).is_empty());
    assert_eq!(bench.find(&session("a")), Binding::Bound(1));
    assert_eq!(bench.find(&session("b")), Binding::Unbound);
    advance(Duration::from_secs(10));
    assert_eq!(bench.find(&session("a")), Binding::Unbound);
}

#[test]
fn a_session_outlives_draining_but_not_its_endpoint() {
    let mut bench = AffinityBench::<PluginType>::new(r#"{"header":"x-session"}"#).unwrap();
    bench.endpoints(&endpoints(&[1, 1]));
    bench.bind(&session("a"), 1);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.find(&session("a")), Binding::Bound(1));
    assert!(bench.changes(&[Change::Removed(1)]));
    assert_eq!(bench.find(&session("a")), Binding::Lost);
}
