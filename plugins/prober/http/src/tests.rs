use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{Header, ProbeAction, ProbeEvent, ProbeResponse, Transport};

use crate::Http;

fn verdict(config: &str, status: u16, body: &str) -> (bool, String) {
    let mut bench = ProberBench::<Http>::new(config).unwrap();
    bench.open(1);
    let answer = ProbeResponse { status, headers: vec![], body: body.into(), trailers: vec![] };
    match bench.advance(1, ProbeEvent::Answered(answer)).remove(0) {
        ProbeAction::Finish(verdict) => (verdict.passed, verdict.detail),
        other => panic!("{other:?}"),
    }
}

fn request(config: &str) -> plimsoll_sdk::ProbeRequest {
    let mut bench = ProberBench::<Http>::new(config).unwrap();
    assert_eq!(bench.transport(), Transport::Http);
    match bench.open(1).remove(0) {
        ProbeAction::Exchange(request) => request,
        other => panic!("{other:?}"),
    }
}

fn field(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

#[test]
fn without_configuration_it_gets_the_root() {
    let request = request("");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/"));
    assert_eq!(request.headers, [field("host", "10.0.0.1:80")]);
}

#[test]
fn the_request_is_as_configured() {
    let request = request(r#"{"path":"/health?full=1","method":"HEAD","host":"api.test","headers":{"X-Probe":"1"}}"#);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("HEAD", "/health?full=1"));
    assert_eq!(request.headers, [field("host", "api.test"), field("x-probe", "1")]);
}

#[test]
fn statuses_decide() {
    assert_eq!(verdict("", 204, ""), (true, "status 204".into()));
    assert_eq!(verdict("", 302, ""), (true, "status 302".into()));
    assert_eq!(verdict("", 503, ""), (false, "status 503, expected 200-399".into()));
    let config = r#"{"expect":{"status":["200-299",404]}}"#;
    assert_eq!(verdict(config, 302, ""), (false, "status 302, expected 200-299 or 404".into()));
    assert!(verdict(config, 404, "").0);
}

#[test]
fn the_body_may_have_to_contain_a_text() {
    let config = r#"{"expect":{"body_contains":"\"ok\""}}"#;
    assert!(verdict(config, 200, r#"{"status":"ok"}"#).0);
    assert_eq!(verdict(config, 200, "ok"), (false, "status 200, but the body lacks the expected text".into()));
}

#[test]
fn mistakes_are_told_with_their_places() {
    fn paths(config: &str) -> Vec<String> {
        ProberBench::<Http>::new(config).unwrap_err().into_iter().map(|e| e.path).collect()
    }
    assert_eq!(paths(r#"{"path":"x","method":"G T","headers":{"a b":"c"}}"#), ["/path", "/method", "/headers/a b"]);
    assert_eq!(paths(r#"{"headers":{"x":"a\r\nb"}}"#), ["/headers/x"]);
    assert_eq!(paths(r#"{"host":"a","headers":{"Host":"b"}}"#), ["/headers/Host"]);
    for status in [r#""2xx""#, "99", r#""300-200""#, r#""200-600""#] {
        assert_eq!(paths(&format!(r#"{{"expect":{{"status":[{status}]}}}}"#)), ["/expect/status/0"]);
    }
    assert_eq!(paths(r#"{"expect":{"status":[]}}"#), ["/expect/status"]);
}

#[test]
fn events_that_do_not_belong_are_no_trap() {
    let mut bench = ProberBench::<Http>::new("").unwrap();
    assert!(bench.advance(7, ProbeEvent::Closed).is_empty());
    bench.open(7);
    assert!(matches!(bench.advance(7, ProbeEvent::Closed)[..], [ProbeAction::Finish(_)]));
}
