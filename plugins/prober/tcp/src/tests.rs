use plimsoll_sdk::testing::ProberBench;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Transport};

use crate::Tcp;

/// Verdict after the peer sent these pieces, if there is one.
fn talk(config: &str, pieces: &[&[u8]]) -> Option<bool> {
    let mut bench = ProberBench::<Tcp>::new(config).unwrap();
    assert!(bench.open(1).is_empty());
    let mut actions = bench.advance(1, ProbeEvent::Connected);
    actions.extend(pieces.iter().flat_map(|piece| bench.advance(1, ProbeEvent::Received(piece.to_vec()))));
    actions.iter().find_map(|action| match action {
        ProbeAction::Finish(verdict) => Some(verdict.passed),
        _ => None,
    })
}

#[test]
fn a_connection_is_enough_when_nothing_is_expected() {
    assert_eq!(ProberBench::<Tcp>::new("").unwrap().transport(), Transport::Tcp);
    assert_eq!(talk("", &[]), Some(true));
}

#[test]
fn what_is_to_be_sent_is_sent_first() {
    let mut bench = ProberBench::<Tcp>::new(r#"{"send":"PING\\r\\n\\x00\\xfF"}"#).unwrap();
    bench.open(1);
    let actions = bench.advance(1, ProbeEvent::Connected);
    assert_eq!(actions[0], ProbeAction::Send(b"PING\r\n\x00\xff".to_vec()));
    assert!(matches!(&actions[1], ProbeAction::Finish(verdict) if verdict.passed));
}

#[test]
fn answers_may_come_in_pieces() {
    let prefix = r#"{"send":"PING\\r\\n","expect":{"prefix":"+PONG"}}"#;
    assert_eq!(talk(prefix, &[]), None);
    assert_eq!(talk(prefix, &[b"+P", b"ON"]), None);
    assert_eq!(talk(prefix, &[b"+P", b"ONG\r\n"]), Some(true));
    assert_eq!(talk(prefix, &[b"-", b"ERR"]), Some(false));
    let contains = r#"{"expect":{"contains":"SMTP"}}"#;
    assert_eq!(talk(contains, &[b"220 mail ES", b"MTP ready"]), Some(true));
    assert_eq!(talk(contains, &[b"220 mail"]), None);
}

#[test]
fn an_endless_answer_has_an_end() {
    let piece = [b'x'; 10_000];
    assert_eq!(talk(r#"{"expect":{"contains":"y"}}"#, &[&piece, &piece, &piece]), Some(false));
}

#[test]
fn a_peer_that_closes_early_fails() {
    let mut bench = ProberBench::<Tcp>::new(r#"{"expect":{"prefix":"x"}}"#).unwrap();
    bench.open(1);
    bench.advance(1, ProbeEvent::Connected);
    assert!(matches!(&bench.advance(1, ProbeEvent::Closed)[0], ProbeAction::Finish(verdict) if !verdict.passed));
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in [
        (r#"{"send":""}"#, "/send"),
        (r#"{"send":"\\q"}"#, "/send"),
        (r#"{"send":"\\x0"}"#, "/send"),
        (r#"{"expect":{"contains":""}}"#, "/expect/contains"),
        (r#"{"expect":{"regex":"x"}}"#, "/expect"),
    ] {
        assert_eq!(ProberBench::<Tcp>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
