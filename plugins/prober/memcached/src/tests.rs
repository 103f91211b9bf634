use talk::testing::{Talk, talk};

use crate::Memcached;

fn said(pieces: &[&[u8]]) -> Talk {
    talk::<Memcached>("", pieces.iter().copied())
}

#[test]
fn a_server_that_tells_its_version_passes() {
    let talk = said(&[b"VERSI", b"ON 1.6.18\r\n"]);
    assert_eq!(talk.verdict, Some((true, "answers, version `1.6.18`".into())));
    assert_eq!(talk.sent, b"version\r\nquit\r\n");
}

#[test]
fn states_have_reasons() {
    for (line, reason) in [
        (&b"CLIENT_ERROR unauthenticated\r\n"[..], "wants a user and a password"),
        (b"ERROR Too many open connections\r\n", "takes no more connections"),
        (b"SERVER_ERROR out of memory\r\n", "answers with the error `SERVER_ERROR out of memory`"),
        (b"ERROR\r\n", "answers with the error `ERROR`"),
        (b"220 mail\r\n", "does not answer as memcached does, but with `220 mail`"),
    ] {
        assert_eq!(said(&[line]).verdict, Some((false, reason.into())));
    }
    assert_eq!(said(&[b"VERSION 1"]).verdict, None);
}
