use plimsoll_sdk::testing::ProberBench;
use talk::testing::{Talk, talk};

use crate::Smtp;

fn said(config: &str, pieces: &[&str]) -> Talk {
    talk::<Smtp>(config, pieces.iter().map(|piece| piece.as_bytes()))
}

#[test]
fn nothing_is_said_before_the_greeting() {
    assert_eq!(said("", &[]), Talk::default());
    assert_eq!(said("", &["220-mail.test\r\n220 "]), Talk::default());
}

#[test]
fn a_server_that_greets_passes_and_is_told_goodbye() {
    let talk = said("", &["220-mail.te", "st\r\n220 ready\r\n", "250-mail.test\r\n250 SIZE 1000\r\n"]);
    assert_eq!(talk.verdict, Some((true, "greets".into())));
    assert_eq!(talk.sent, b"EHLO localhost\r\nQUIT\r\n");
}

#[test]
fn an_old_server_is_greeted_as_such() {
    let talk = said(r#"{"name":"probe.test"}"#, &["220 x\r\n", "502 what\r\n", "250 hello\r\n"]);
    assert_eq!(talk.verdict, Some((true, "greets".into())));
    assert_eq!(talk.sent, b"EHLO probe.test\r\nHELO probe.test\r\nQUIT\r\n");
}

#[test]
fn states_have_reasons() {
    for (pieces, reason) in [
        (&["421 too busy\r\n"][..], "not in service: `421 too busy`"),
        (&["554 no\r\n"], "does not take mail: `554 no`"),
        (&["220 x\r\n", "550 go away\r\n"], "does not want to know localhost: `550 go away`"),
        (&["+OK pop\r\n"], "does not speak as mail servers do, but says `+OK pop`"),
        (&["220x\r\n"], "does not speak as mail servers do, but says `220x`"),
    ] {
        assert_eq!(said("", pieces).verdict, Some((false, reason.into())));
    }
}

#[test]
fn an_extension_may_have_to_be_offered() {
    let config = r#"{"extension":"starttls"}"#;
    let with = ["220 x\r\n", "250-x\r\n250-STARTTLS\r\n250 HELP\r\n"];
    assert_eq!(said(config, &with).verdict, Some((true, "greets".into())));
    let without = ["220 STARTTLS\r\n", "250-x\r\n250 SIZE\r\n"];
    assert_eq!(said(config, &without).verdict, Some((false, "does not offer starttls".into())));
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in [(r#"{"name":"a b"}"#, "/name"), (r#"{"extension":""}"#, "/extension")] {
        assert_eq!(ProberBench::<Smtp>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
