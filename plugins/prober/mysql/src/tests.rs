use plimsoll_sdk::testing::ProberBench;
use talk::testing::{Talk, talk};

use crate::Mysql;
use crate::packet::packet;

fn said(config: &str, pieces: &[Vec<u8>]) -> Talk {
    talk::<Mysql>(config, pieces.iter().map(Vec::as_slice))
}

/// The greeting of a server that would have `way`, with the salt `abcdefghijklmnopqrst`.
fn greeting(way: &str) -> Vec<u8> {
    let mut content = b"\x0a8.0.36\0\x08\0\0\0abcdefgh\0\xff\xff\x21\x02\0\xff\xdf\x15".to_vec();
    content.extend_from_slice(&[0; 10]);
    content.extend_from_slice(b"ijklmnopqrst\0");
    content.extend_from_slice(way.as_bytes());
    content.push(0);
    packet(0, &content)
}

fn ok(number: u8) -> Vec<u8> {
    packet(number, b"\0\0\0\x02\0\0\0")
}

const QUIT: &[u8] = &[1, 0, 0, 0, 1];

#[test]
fn a_greeting_is_enough_without_a_user() {
    let whole = greeting("mysql_native_password");
    let talk = said("", &[whole[..9].to_vec(), whole[9..].to_vec()]);
    assert_eq!(talk.verdict, Some((true, "greets, version `8.0.36`".into())));
    assert!(talk.sent.is_empty());
}

#[test]
fn a_user_is_let_in_and_says_goodbye() {
    let talk = said(r#"{"user":"probe"}"#, &[greeting("mysql_native_password"), ok(2)]);
    assert_eq!(talk.verdict, Some((true, "logs in".into())));
    assert!(talk.sent.ends_with(QUIT));
    assert!(talk.sent.windows(8).any(|window| window == b"probe\0\0m"), "no proof without a password");
}

#[test]
fn passwords_are_proven_and_not_told() {
    let config = r#"{"user":"probe","password":"s3cret"}"#;
    // As `mysql_native_password` has it: SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))).
    for (way, length) in [("mysql_native_password", 20), ("caching_sha2_password", 32)] {
        let talk = said(config, &[greeting(way), packet(2, &[1, 3]), ok(3)]);
        assert_eq!(talk.verdict, Some((true, "logs in".into())), "{way}");
        assert_eq!(talk.sent[4 + 32 + 6], length);
        assert!(!talk.sent.windows(6).any(|window| window == b"s3cret"));
    }
    let switch = packet(2, b"\xfemysql_native_password\0abcdefghijklmnopqrst\0");
    let talk = said(config, &[greeting("caching_sha2_password"), switch, ok(4)]);
    assert_eq!(talk.verdict, Some((true, "logs in".into())));
    let unknown = packet(2, b"\xfedialog\0abcdefghijklmnopqrst\0");
    let reason = "wants a way of authentication that this prober does not have";
    assert_eq!(said(config, &[greeting("x"), unknown]).verdict, Some((false, reason.into())));
    assert!(!said(config, &[greeting("caching_sha2_password"), packet(2, &[1, 4])]).verdict.unwrap().0);
}

#[test]
fn errors_have_reasons() {
    for (content, reason) in [
        (&b"\xff\x10\x04Too many"[..], "takes no more connections (code 1040): `Too many`"),
        (b"\xff\x69\x04blocked", "blocks this address, after too many broken connections (code 1129): `blocked`"),
        (b"\xff\x6a\x04no", "does not let this address in (code 1130): `no`"),
        (b"\xff\x15\x04#28000no", "does not accept the user and the password (code 1045): `no`"),
        (b"\xff\x01\x00odd", "answers with an error (code 1): `odd`"),
        (b"\x09x\0", "does not speak as MySQL does"),
        (b"\x0a\x01\0", "does not speak as MySQL does"),
    ] {
        assert_eq!(said("", &[packet(0, content)]).verdict, Some((false, reason.into())));
    }
    let long = said("", &[b"HTTP/1.1 400".to_vec()]).verdict;
    assert_eq!(long, Some((false, "says more than 16 KiB at once, which is no answer".into())));
}

#[test]
fn the_role_is_that_which_is_wanted() {
    let asked = |role: &str, answer: &[u8]| {
        let result = [packet(1, &[1]), packet(2, b"\x03def"), packet(3, b"\xfe\0\0\x02\0"), packet(4, answer)].concat();
        let config = format!(r#"{{"user":"probe","role":"{role}"}}"#);
        let talk = said(&config, &[greeting("mysql_native_password"), ok(2), result]);
        assert!(talk.sent.ends_with(QUIT));
        talk.verdict.expect("a verdict")
    };
    assert_eq!(asked("primary", b"\x010"), (true, "logs in, takes writes".into()));
    assert_eq!(asked("primary", b"\x011"), (false, "read-only, not a primary".into()));
    assert_eq!(asked("replica", b"\x011"), (true, "logs in, read-only".into()));
    assert_eq!(asked("replica", b"\x010"), (false, "takes writes, not a replica".into()));
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (config, path) in
        [(r#"{"role":"primary"}"#, "/user"), (r#"{"password":"x"}"#, "/user"), (r#"{"user":""}"#, "/user")]
    {
        assert_eq!(ProberBench::<Mysql>::new(config).unwrap_err()[0].path, path, "{config}");
    }
}
