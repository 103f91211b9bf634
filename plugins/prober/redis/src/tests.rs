use plimsoll_sdk::ProbeEvent;
use plimsoll_sdk::testing::ProberBench;
use talk::testing::{Talk, talk};

use crate::Redis;

fn said(config: &str, pieces: &[&str]) -> Talk {
    talk::<Redis>(config, pieces.iter().map(|piece| piece.as_bytes()))
}

#[test]
fn a_server_that_answers_passes_and_is_told_goodbye() {
    let talk = said("", &["+PO", "NG\r\n"]);
    assert_eq!(talk.verdict, Some((true, "answers".into())));
    assert_eq!(talk.sent, b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n");
}

#[test]
fn credentials_come_first() {
    let config = r#"{"username":"probe","password":"s3cret"}"#;
    let talk = said(config, &["+OK\r\n", "+PONG\r\n"]);
    assert_eq!(talk.verdict, Some((true, "answers".into())));
    assert!(talk.sent.starts_with(b"*3\r\n$4\r\nAUTH\r\n$5\r\nprobe\r\n$6\r\ns3cret\r\n*1\r\n$4\r\nPING\r\n"));
    let refused = said(config, &["-WRONGPASS invalid username-password pair or user is disabled.\r\n"]);
    assert_eq!(refused.verdict, Some((false, "does not accept the user and the password".into())));
    let echoed = said(config, &["-ERR no such password: s3cret\r\n"]);
    assert!(!echoed.verdict.unwrap().1.contains("s3cret"));
}

#[test]
fn states_have_reasons() {
    for (error, reason) in [
        ("-LOADING Redis is loading the dataset in memory", "starting: it loads its data"),
        ("-NOAUTH Authentication required.", "wants a password, and none is configured"),
        ("-MASTERDOWN Link with MASTER is down", "a replica whose primary is gone"),
        ("-BUSY Redis is busy running a script", "busy with a script"),
        ("-ERR odd", "answers with the error `ERR odd`"),
        ("HTTP/1.1 400 Bad Request", "does not answer as Redis does, but with `HTTP/1.1 400 Bad Request`"),
        ("$4294967296", "says more than 16 KiB at once, which is no answer"),
    ] {
        assert_eq!(said("", &[error, "\r\n"]).verdict, Some((false, reason.into())), "{error}");
    }
}

#[test]
fn the_role_is_that_which_is_wanted() {
    let primary = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    let replica =
        |state: &str| format!("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n${}\r\n{state}\r\n", state.len());
    let asked = |role: &str, answer: &str| {
        said(&format!(r#"{{"role":"{role}"}}"#), &["+PONG\r\n", answer]).verdict.expect("a verdict")
    };
    assert_eq!(asked("primary", primary), (true, "answers, as a primary".into()));
    assert_eq!(asked("replica", primary), (false, "a primary, not a replica".into()));
    assert_eq!(asked("primary", &replica("connected")), (false, "a replica, not a primary".into()));
    assert_eq!(asked("replica", &replica("connected")), (true, "answers, as a replica in step".into()));
    let behind = "a replica that does not follow its primary: `connect`";
    assert_eq!(asked("replica", &replica("connect")), (false, behind.into()));
}

#[test]
fn a_key_may_have_to_be_there() {
    let config = r#"{"key":"in-service"}"#;
    assert_eq!(said(config, &["+PONG\r\n", ":1\r\n"]).verdict, Some((true, "answers".into())));
    assert_eq!(said(config, &["+PONG\r\n", ":0\r\n"]).verdict, Some((false, "the key is not there".into())));
}

#[test]
fn who_closes_or_speaks_before_its_turn_does_not_pass() {
    let mut bench = ProberBench::<Redis>::new("").unwrap();
    bench.open(1);
    bench.advance(1, ProbeEvent::Connected);
    assert!(matches!(&bench.advance(1, ProbeEvent::Closed)[..], [plimsoll_sdk::ProbeAction::Finish(v)] if !v.passed));
    assert_eq!(said("", &["+PONG"]).verdict, None);
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in [
        (r#"{"username":"x"}"#, "/username"),
        (r#"{"password":""}"#, "/password"),
        (r#"{"key":""}"#, "/key"),
        (r#"{"role":"main"}"#, "/role"),
    ] {
        assert_eq!(ProberBench::<Redis>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
