use plimsoll_sdk::testing::ProberBench;
use talk::testing::{Talk, talk};

use crate::Ldap;

fn said(config: &str, pieces: &[&[u8]]) -> Talk {
    talk::<Ldap>(config, pieces.iter().copied())
}

/// A `BindResponse` with this code.
fn bound(code: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let head = [0x30, 12 + length, 2, 1, 1, 0x61, 7 + length, 0x0a, 1, code, 4, 0, 4, length];
    [&head[..], text.as_bytes()].concat()
}

#[test]
fn a_server_that_lets_bind_passes_and_is_told_goodbye() {
    let answer = bound(0, "");
    let talk = said("", &[&answer[..5], &answer[5..]]);
    assert_eq!(talk.verdict, Some((true, "binds".into())));
    let bind = [0x30, 0x0c, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0];
    assert_eq!(talk.sent, [&bind[..], &[0x30, 5, 2, 1, 2, 0x42, 0]].concat());
}

#[test]
fn lengths_in_the_long_form_are_read() {
    let long = [0x30, 0x84, 0, 0, 0, 16, 2, 1, 1, 0x61, 0x84, 0, 0, 0, 7, 0x0a, 1, 0, 4, 0, 4, 0];
    assert_eq!(said("", &[&long]).verdict, Some((true, "binds".into())));
}

#[test]
fn states_have_reasons() {
    let config = r#"{"dn":"cn=probe","password":"s3cret"}"#;
    for (answer, reason) in [
        (bound(48, ""), "does not let anybody bind without a name (code 48)"),
        (bound(49, ""), "does not accept the name and the password (code 49)"),
        (bound(52, "shutting down"), "not in service, or going (code 52): `shutting down`"),
        (b"\x30\x84\xff\xff\xff\xff".to_vec(), "says more than 16 KiB at once, which is no answer"),
        (b"HTTP/1.1 400\r\n".to_vec(), "does not answer as directory servers do"),
        (vec![0x30, 0x00], "does not answer as directory servers do"),
        (vec![0x30, 0x80, 0x00], "does not answer as directory servers do"),
    ] {
        assert_eq!(said(config, &[&answer]).verdict, Some((false, reason.into())));
    }
    assert!(!said(config, &[&bound(49, "no s3cret")]).verdict.unwrap().1.contains("s3cret"));
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in [(r#"{"dn":"cn=x"}"#, ""), (r#"{"dn":"","password":"x"}"#, "/dn")] {
        assert_eq!(ProberBench::<Ldap>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
