use plimsoll_sdk::testing::{AffinityBench, advance, endpoints, with_id};
use plimsoll_sdk::{Attribute, Availability, Binding, Change, Duration};
use proptest::prelude::*;

use crate::SourceIp;

fn bench(config: &str) -> AffinityBench<SourceIp> {
    let mut bench = AffinityBench::new(config).unwrap();
    bench.endpoints(&endpoints(&[1, 1, 1]));
    bench
}

fn from(address: &str) -> [(Attribute, &str); 1] {
    [(Attribute::SourceAddress, address)]
}

#[test]
fn an_address_stays_with_its_endpoint() {
    let mut bench = bench("");
    assert_eq!(bench.find(&from("192.0.2.7")), Binding::Unbound);
    bench.bind(&from("192.0.2.7"), 1);
    assert_eq!(bench.find(&from("192.0.2.7")), Binding::Bound(1));
    assert_eq!(bench.find(&from("::ffff:192.0.2.7")), Binding::Bound(1), "the same client over another socket");
    assert_eq!(bench.find(&from("192.0.2.8")), Binding::Unbound);
}

#[test]
fn a_network_is_one_client() {
    let mut bench = bench(r#"{"v4_prefix":24}"#);
    bench.bind(&from("192.0.2.7"), 1);
    bench.bind(&from("2001:db8:0:1::7"), 2);
    assert_eq!(bench.find(&from("192.0.2.255")), Binding::Bound(1));
    assert_eq!(bench.find(&from("192.0.3.7")), Binding::Unbound);
    assert_eq!(bench.find(&from("2001:db8:0:1:ffff::")), Binding::Bound(2));
    assert_eq!(bench.find(&from("2001:db8:0:2::7")), Binding::Unbound);
}

#[test]
fn draining_keeps_a_client_and_one_whose_endpoint_is_gone_moves_once() {
    let mut bench = bench("");
    let client = from("192.0.2.7");
    bench.bind(&client, 1);
    assert!(bench.changes(&[Change::Availability((1, Availability::Draining))]));
    assert_eq!(bench.find(&client), Binding::Bound(1));
    assert!(bench.changes(&[Change::Availability((1, Availability::Unavailable))]));
    assert_eq!(bench.find(&client), Binding::Lost);
    bench.bind(&client, 2);
    assert!(bench.changes(&[Change::Availability((1, Availability::Ready))]));
    assert_eq!(bench.find(&client), Binding::Bound(2));
}

#[test]
fn a_client_is_of_the_endpoint_and_not_of_the_slot() {
    let mut bench = bench("");
    bench.bind(&from("192.0.2.7"), 1);
    bench.endpoints(&[with_id(1, "z", "10.0.0.9:80"), with_id(5, "b", "10.0.0.2:80")]);
    assert_eq!(bench.find(&from("192.0.2.7")), Binding::Bound(5));
}

#[test]
fn a_client_is_forgotten_after_a_pause() {
    let mut bench = bench(r#"{"ttl":"10s"}"#);
    bench.bind(&from("192.0.2.7"), 1);
    for _ in 0..3 {
        advance(Duration::from_millis(9_999));
        assert_eq!(bench.find(&from("192.0.2.7")), Binding::Bound(1));
    }
    advance(Duration::from_secs(10));
    assert_eq!(bench.find(&from("192.0.2.7")), Binding::Unbound);
}

#[test]
fn mistakes_are_told_together() {
    let errors = AffinityBench::<SourceIp>::new(r#"{"v4_prefix":33,"v6_prefix":0,"ttl":"0s"}"#).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/v4_prefix", "/v6_prefix", "/ttl"]);
}

proptest! {
    #[test]
    fn addresses_of_one_network_and_no_others_are_one_client(a: u32, b: u32, prefix in 1u8..=32) {
        let mut bench = bench(&format!("{{\"v4_prefix\":{prefix}}}"));
        let text = |address: u32| std::net::Ipv4Addr::from_bits(address).to_string();
        bench.bind(&from(&text(a)), 1);
        let same = (a ^ b).leading_zeros() >= u32::from(prefix);
        let expected = if same { Binding::Bound(1) } else { Binding::Unbound };
        prop_assert_eq!(bench.find(&from(&text(b))), expected);
        plimsoll_sdk::testing::reset();
    }

    #[test]
    fn what_is_no_address_is_no_client(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(bench("").find_bytes(&[Some(&bytes)]), Binding::Unbound);
    }
}
