use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{Handshake, ProbeAction, ProbeEvent, Transport};

use crate::TlsProber;

fn verdict(config: &str, version: &str, protocol: Option<&str>) -> (bool, String) {
    let mut bench = ProberBench::<TlsProber>::new(config).unwrap();
    assert_eq!(bench.transport(), Transport::Tls);
    assert!(bench.open(1).is_empty() && bench.advance(1, ProbeEvent::Connected).is_empty());
    let handshake = Handshake {
        version: version.to_owned(),
        application_protocol: protocol.map(str::to_owned),
        certificate_ends: Some(crate::now() + 10 * 86_400 + 60),
    };
    match bench.advance(1, ProbeEvent::Secured(handshake)).remove(0) {
        ProbeAction::Finish(verdict) => (verdict.passed, verdict.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_handshake_passes_unless_more_is_expected() {
    assert_eq!(verdict("", "TLSv1.2", None), (true, "TLSv1.2, certificate valid for 10 days".into()));
    assert_eq!(verdict("", "TLSv1.3", Some("h2")), (true, "TLSv1.3, h2, certificate valid for 10 days".into()));
}

#[test]
fn version_and_protocol_may_be_expected() {
    let config = r#"{"min_version":"TLSv1.3"}"#;
    assert_eq!(verdict(config, "TLSv1.2", None), (false, "speaks TLSv1.2, expected TLSv1.3".into()));
    assert!(verdict(config, "TLSv1.3", None).0);
    let config = r#"{"application_protocols":["h2","http/1.1"],"expect_protocol":"h2"}"#;
    assert!(verdict(config, "TLSv1.3", Some("h2")).0);
    let (_, said) = verdict(config, "TLSv1.3", Some("http/1.1"));
    assert_eq!(said, "expected the protocol h2, got http/1.1 (ALPN)");
    assert_eq!(verdict(config, "TLSv1.3", None), (false, "expected the protocol h2, got none (ALPN)".into()));
}

#[test]
fn what_is_not_offered_cannot_be_expected() {
    let errors = ProberBench::<TlsProber>::new(r#"{"expect_protocol":"h2"}"#).unwrap_err();
    assert_eq!(errors[0].path, "/expect_protocol");
}

#[test]
fn a_connection_that_ends_before_is_no_handshake() {
    let mut bench = ProberBench::<TlsProber>::new("").unwrap();
    bench.open(1);
    assert!(matches!(&bench.advance(1, ProbeEvent::Closed)[..], [ProbeAction::Finish(verdict)] if !verdict.passed));
}
