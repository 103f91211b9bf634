use plimsoll_sdk::testing::ProberBench;
use talk::testing::{Talk, talk};

use crate::Postgres;

fn said(config: &str, pieces: &[Vec<u8>]) -> Talk {
    talk::<Postgres>(config, pieces.iter().map(Vec::as_slice))
}

fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(content.len() + 4).unwrap().to_be_bytes(), content].concat()
}

fn error(code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0C{code}\0M{text}\0\0").as_bytes())
}

const PROBE: &str = r#"{"user":"probe"}"#;

#[test]
fn a_server_that_asks_for_a_password_takes_connections() {
    let sasl = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let talk = said("", &[sasl[..7].to_vec(), sasl[7..].to_vec()]);
    assert_eq!(talk.verdict, Some((true, "takes connections".into())));
    let startup = b"\x00\x00\x00\x43\x00\x03\x00\x00user\0plimsoll\0database\0plimsoll\0application_name\0plimsoll\0\0";
    assert_eq!(talk.sent, startup);
    assert!(!said(PROBE, &[sasl]).verdict.unwrap().0);
}

#[test]
fn errors_have_reasons() {
    for (code, anybody, user) in [
        ("57P03", "starting or stopping: `x`", "starting or stopping: `x`"),
        ("57P01", "stopping: `x`", "stopping: `x`"),
        ("53300", "takes no more connections: `x`", "takes no more connections: `x`"),
        ("28000", "takes connections", "does not let the user in: `x`"),
        ("3D000", "takes connections", "does not have the database: `x`"),
        ("XX000", "answers with the error `x`", "answers with the error `x`"),
    ] {
        assert_eq!(said("", &[error(code, "x")]).verdict, Some((anybody == "takes connections", anybody.into())));
        assert_eq!(said(PROBE, &[error(code, "x")]).verdict, Some((false, user.into())));
    }
}

#[test]
fn a_session_tells_the_role_and_is_ended_properly() {
    let session = |role: &str, parameters: &[u8]| {
        let ready = message(b'Z', b"I");
        let pieces = [message(b'R', &[0; 4]), message(b'S', parameters), message(b'K', &[0; 8]), ready].concat();
        let talk = said(&format!(r#"{{"user":"probe","role":"{role}"}}"#), &[pieces]);
        assert!(talk.sent.ends_with(&[b'X', 0, 0, 0, 4]));
        talk.verdict.expect("a verdict")
    };
    let (primary, replica) = (&b"in_hot_standby\0off\0"[..], &b"in_hot_standby\0on\0"[..]);
    assert_eq!(session("any", b"a\0b\0"), (true, "logs in".into()));
    assert_eq!(session("primary", primary), (true, "logs in, to a primary".into()));
    assert_eq!(session("primary", replica), (false, "a replica, not a primary".into()));
    assert_eq!(session("replica", replica), (true, "logs in, to a replica".into()));
    assert_eq!(session("replica", primary), (false, "a primary, not a replica".into()));
    let old = "does not tell its role, as it does since PostgreSQL 14";
    assert_eq!(session("primary", b"a\0b\0"), (false, old.into()));
}

#[test]
fn something_else_is_no_server() {
    let foreign = Some((false, "does not answer as PostgreSQL does".to_owned()));
    for bytes in [&b"HTTP/1.1 400\r\n"[..], b"R\0\0\0\0", b"N", &message(b'Z', b"I")] {
        let verdict = said("", &[bytes.to_vec()]).verdict;
        assert_eq!(verdict, if bytes == b"N" { None } else { foreign.clone() }, "{bytes:?}");
    }
    assert!(!said("", &[b"R\xff\xff\xff\xff".to_vec()]).verdict.unwrap().0);
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in [(r#"{"role":"primary"}"#, "/role"), (r#"{"user":""}"#, "/user")] {
        assert_eq!(ProberBench::<Postgres>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
