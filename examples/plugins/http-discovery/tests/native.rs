use http_discovery::HttpDiscovery;
use plimsoll_sdk::testing::{DiscoveryBench, observed};
use plimsoll_sdk::{DiscoveryAction, OutwardAnswer, OutwardCall, OutwardError};

fn bench() -> DiscoveryBench<HttpDiscovery> {
    DiscoveryBench::new(r#"{"cluster":"registry","path":"/list","token":"secret"}"#).unwrap()
}

fn call(wanted: &[DiscoveryAction]) -> &OutwardCall {
    let [DiscoveryAction::Call(call)] = wanted else { panic!("no call: {wanted:?}") };
    call
}

fn answer(body: &str) -> Result<OutwardAnswer, OutwardError> {
    Ok(OutwardAnswer { status: 200, headers: Vec::new(), body: body.into() })
}

#[test]
fn all_pages_are_published_together_and_what_is_listed_twice_once() {
    let mut bench = bench();
    let wanted = bench.tick();
    let first = call(&wanted);
    assert_eq!(first.path, "/list");
    assert!(first.headers.iter().any(|header| header.value == b"Bearer secret"));
    let wanted = bench.answered(first.number, answer(r#"{"endpoints":[{"address":"a:1"}],"next":"/list?2"}"#));
    let second = call(&wanted);
    assert_eq!(second.path, "/list?2");
    let last = r#"{"endpoints":[{"address":"a:1","weight":3},{"address":"b:1","id":"b","labels":{"tier":"x"}}]}"#;
    let wanted = bench.answered(second.number, answer(last));
    let [DiscoveryAction::Publish(found)] = &wanted[..] else { panic!("{wanted:?}") };
    let told: Vec<_> = found.iter().map(|endpoint| (endpoint.id.as_deref(), endpoint.weight)).collect();
    assert_eq!(told, [(Some("a:1"), Some(3)), (Some("b"), None)]);
    assert_eq!(observed("endpoints"), [2.0]);
}

#[test]
fn a_page_that_is_missing_leaves_everything_as_it_was() {
    let mut bench = bench();
    let first = call(&bench.tick()).number;
    let second = call(&bench.answered(first, answer(r#"{"endpoints":[],"next":"/list?2"}"#))).number;
    assert!(bench.answered(first, answer(r#"{"endpoints":[]}"#)).is_empty(), "an answer to what is over");
    assert!(matches!(bench.answered(second, Err(OutwardError::Timeout))[..], [DiscoveryAction::Fail(_)]));
    assert_eq!(call(&bench.tick()).path, "/list");
}
