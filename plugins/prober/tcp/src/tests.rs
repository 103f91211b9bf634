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

/// A mail server that is asked for TLS.
const STARTTLS: &str = r#"{"expect":{"regex":"^220 "},"then":[
    {"send":"EHLO probe\r\n","expect":{"regex":"^250 "}},
    {"send":"STARTTLS\r\n","expect":{"regex":"^220 "},"start_tls":true},
    {"send":"QUIT\r\n","expect":{"prefix":"221"}}]}"#;

/// What is done about each of these events.
fn steps(config: &str, events: Vec<ProbeEvent>) -> Vec<String> {
    let mut bench = ProberBench::<Tcp>::new(config).unwrap();
    bench.open(1);
    let events = [ProbeEvent::Connected].into_iter().chain(events);
    let actions = events.flat_map(|event| bench.advance(1, event)).map(|action| match action {
        ProbeAction::Send(bytes) => String::from_utf8(bytes).unwrap().trim().to_owned(),
        ProbeAction::Finish(verdict) => format!("{}: {}", verdict.passed, verdict.detail),
        other => format!("{other:?}"),
    });
    actions.collect()
}

fn said(text: &str) -> ProbeEvent {
    ProbeEvent::Received(text.as_bytes().to_vec())
}

fn secured() -> ProbeEvent {
    let version = "TLSv1.3".to_owned();
    ProbeEvent::Secured(plimsoll_sdk::Handshake { version, application_protocol: None, certificate_ends: None })
}

#[test]
fn steps_follow_one_another_into_tls() {
    let events = vec![
        said("220-not"),
        said(" yet\r\n220 mail.test ESMTP\r\n"),
        said("250-mail.test\r\n250-STARTTLS\r\n250 HELP\r\n"),
        said("220 go on\r\n"),
        secured(),
        said("221 bye\r\n"),
    ];
    assert_eq!(
        steps(STARTTLS, events),
        ["EHLO probe", "STARTTLS", "Action::StartTls", "QUIT", "true: answered as expected"]
    );
    assert!(ProberBench::<Tcp>::new(STARTTLS).unwrap().tls().is_some());
}

#[test]
fn what_comes_in_the_clear_once_tls_is_agreed_on_is_not_believed() {
    let begun = || vec![said("220 hi\r\n"), said("250 ok\r\n")];
    let too_much = "false: said more before TLS than was expected";
    let at_once = [begun(), vec![said("220 go on\r\n221 bye\r\n")]].concat();
    assert_eq!(steps(STARTTLS, at_once).last().unwrap(), too_much);
    let later = [begun(), vec![said("220 go on\r\n"), said("221 bye\r\n")]].concat();
    assert_eq!(steps(STARTTLS, later).last().unwrap(), too_much);
}

#[test]
fn a_fault_says_what_was_expected_and_what_came() {
    let config = r#"{"send":"PING\r\n","expect":{"prefix":"+PONG"}}"#;
    let fault = "false: expected an answer that begins with `+PONG`, got `-ERR no`";
    assert_eq!(steps(config, vec![said("-ERR no\r\n")])[1], fault);
    let config = r#"{"expect":{"regex":"ready$"},"then":[{"send":"q","expect":{"prefix":{"hex":"00 ff"}}}]}"#;
    assert_eq!(
        steps(config, vec![said("no\nis ready\n"), said("x")])[1],
        "false: step 2: expected an answer that begins with `\u{fffd}`, got `x`"
    );
    let gone = steps(config, vec![said("not re"), ProbeEvent::Closed]);
    assert_eq!(gone, ["false: closed the connection: expected a line that matches `ready$`, got `not re`"]);
    let config = r#"{"send":"AUTH pass-word-1","expect":{"prefix":"+OK"}}"#;
    assert!(!steps(config, vec![said("-ERR pass-word-1")])[1].contains("pass-word-1"));
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
        (r#"{"expect":{"suffix":"x"}}"#, "/expect"),
        (r#"{"expect":{"regex":"("}}"#, "/expect/regex"),
        (r#"{"send":{"hex":"012"}}"#, "/send"),
        (r#"{"then":[{}]}"#, "/then/0"),
        (r#"{"then":[{"start_tls":true},{"start_tls":true}]}"#, "/then"),
    ] {
        assert_eq!(ProberBench::<Tcp>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
