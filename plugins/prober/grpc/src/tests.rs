use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{Header, ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Transport};
use proptest::prelude::*;

use crate::Grpc;
use crate::message::Status;

fn field(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

fn request(config: &str) -> ProbeRequest {
    let mut bench = ProberBench::<Grpc>::new(config).unwrap();
    assert_eq!(bench.transport(), Transport::Grpc);
    match bench.open(1).remove(0) {
        ProbeAction::Exchange(request) => request,
        other => panic!("{other:?}"),
    }
}

fn verdict(status: u16, headers: Vec<Header>, body: &[u8], trailers: Vec<Header>) -> (bool, String) {
    let mut bench = ProberBench::<Grpc>::new("").unwrap();
    bench.open(1);
    let answer = ProbeResponse { status, headers, body: body.into(), trailers };
    match bench.advance(1, ProbeEvent::Answered(answer)).remove(0) {
        ProbeAction::Finish(verdict) => (verdict.passed, verdict.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_server_or_one_of_its_services_is_asked_about() {
    let whole = request("");
    assert_eq!((whole.method.as_str(), whole.path.as_str()), ("POST", "/grpc.health.v1.Health/Check"));
    assert_eq!((whole.body, whole.headers), (vec![], vec![]));
    let one = request(r#"{"service":"shop.Cart","authority":"api.test"}"#);
    assert_eq!(one.body, b"\x0a\x09shop.Cart");
    assert_eq!(one.headers, [field("host", "api.test")]);
    let long = request(&format!(r#"{{"service":"{}"}}"#, "x".repeat(200)));
    assert_eq!(long.body[..3], [0x0a, 0xc8, 0x01]);
}

#[test]
fn what_is_serving_passes_and_all_else_says_why_not() {
    let ok = || vec![field("grpc-status", "0")];
    assert_eq!(verdict(200, vec![], b"\x08\x01", ok()), (true, "serving".into()));
    assert_eq!(verdict(200, vec![], b"\x08\x02", ok()), (false, "not serving".into()));
    assert_eq!(verdict(200, vec![], b"", ok()), (false, "it does not know how the service is".into()));
    assert_eq!(verdict(200, vec![], b"\x08", ok()), (false, "the answer is no HealthCheckResponse".into()));
    let of = |code: &str| verdict(200, vec![field("grpc-status", code)], b"", vec![]);
    assert_eq!(of("5"), (false, "it does not know the service".into()));
    assert_eq!(of("12"), (false, "it has no health service (grpc.health.v1)".into()));
    assert_eq!(of("14"), (false, "gRPC status 14".into()));
    assert_eq!(verdict(503, vec![], b"", vec![]), (false, "HTTP status 503, expected 200".into()));
    assert_eq!(verdict(200, vec![], b"\x08\x01", vec![]), (false, "the call ended without a gRPC status".into()));
}

#[test]
fn mistakes_are_told_together() {
    let config = format!(r#"{{"service":"{}","authority":"a b"}}"#, "x".repeat(257));
    let errors = ProberBench::<Grpc>::new(&config).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/service", "/authority"]);
}

proptest! {
    /// What other fields say, and their order, changes nothing.
    #[test]
    fn unknown_fields_are_passed_over(before in unknown(), after in unknown()) {
        let message = [&before[..], b"\x08\x01", &after].concat();
        prop_assert_eq!(Status::of(&message), Some(Status::Serving));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Status::of(&bytes);
    }
}

/// A field of another number, of every wire type there is.
fn unknown() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<u8>().prop_map(|value| vec![0x10, value & 0x7f]),
        any::<[u8; 8]>().prop_map(|value| [&[0x11][..], &value].concat()),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(|value| [&[0x12, value.len() as u8][..], &value].concat()),
        any::<[u8; 4]>().prop_map(|value| [&[0x15][..], &value].concat()),
    ]
}
