use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::EXPECT;
use http::uri::PathAndQuery;
use http::{Method, Uri, Version};
use plimsoll_fields::RequestHead;

use crate::body_decoder::Framing;
use crate::copied::Copied;
use crate::error::Error;
use crate::field_reader::{Coding, FieldReader, HeadLimits};
use crate::parsing::{self, ON_STACK};

/// A request as it was received, up to its body.
#[derive(Debug)]
pub struct Request {
    /// The target is as it was sent; whether it is of a form that the method allows is not judged here. `Connection` is left out
    /// where it says no more than `keeps`.
    pub head: RequestHead,
    pub framing: Framing,
    /// The client keeps the connection open after this request.
    pub keeps: bool,
    /// The client waits for 100 (Continue) before it sends the body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
}

/// Takes a head from the beginning of what was read; none while it is not whole.
pub fn take_request(read: &mut BytesMut, limits: &HeadLimits) -> Result<Option<Request>, Error> {
    let mut request = httparse::Request::new(&mut []);
    let mut on_stack = [const { MaybeUninit::uninit() }; ON_STACK];
    let mut on_heap = Vec::new();
    let fields = parsing::room(limits, &mut on_stack, &mut on_heap);
    let parsed = request.parse_with_uninit_headers(read, fields).map_err(|error| match parsing::error(error) {
        // Anything that stands where the version is to be, such as the rest of a target with a space in it.
        Error::UnknownVersion if !names_version(read) => Error::Malformed("request line"),
        error => error,
    })?;
    let length = match parsed {
        httparse::Status::Complete(length) if length <= limits.bytes => length,
        httparse::Status::Partial if read.len() < limits.bytes => return Ok(None),
        _ => return Err(too_large(read, limits)),
    };
    let request = read_parsed(&request, &read[..length])?;
    read.advance(length);
    Ok(Some(request))
}

fn read_parsed(request: &httparse::Request<'_, '_>, received: &[u8]) -> Result<Request, Error> {
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(Error::Malformed("request line"));
    };
    let copied = Copied::of(received);
    let is_1_1 = request.version == Some(1);
    let mut fields = FieldReader::with_capacity(request.headers.len() + ADDED_BY_PROXIES);
    for field in &*request.headers {
        fields.add(field.name, copied.value(field))?;
    }
    let FieldReader { headers, length, coding, keeps } = fields;
    let framing = match (coding, length) {
        (None, length) => Framing::Length(length.unwrap_or(0)),
        // RFC 9112 section 6.1: a reader that goes by the other of the two sees other requests.
        (Some(_), Some(_)) => return Err(Error::Malformed("content-length beside transfer-encoding")),
        (Some(_), None) if !is_1_1 => return Err(Error::Malformed("transfer-encoding in HTTP/1.0")),
        // RFC 9112 section 6.3: nobody could tell where the request ends.
        (Some(Coding::Endless), None) => return Err(Error::Malformed("transfer-encoding does not end in chunked")),
        (Some(Coding::Others), None) => return Err(Error::UnknownCoding),
        (Some(Coding::Chunked), None) => Framing::Chunked,
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Error::Malformed("method"))?;
    let uri = read_target(copied.share(target.as_bytes()), &method)?;
    let version = if is_1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let expects_continue =
        is_1_1 && headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let head = RequestHead { method, uri, version, headers, protocol: None };
    Ok(Request { head, framing, keeps: keeps.unwrap_or(is_1_1), expects_continue })
}

/// Room for the fields that a proxy adds.
const ADDED_BY_PROXIES: usize = 6;

fn read_target(target: Bytes, method: &Method) -> Result<Uri, Error> {
    // `Uri` would cut it off, and the endpoint would get another target than was sent.
    if target.contains(&b'#') {
        return Err(Error::Malformed("the target has a fragment"));
    }
    if target.len() > LONGEST_TARGET {
        return Err(Error::TargetTooLong);
    }
    let names_server = *method == Method::OPTIONS && is_authority_alone(&target);
    let uri = Uri::from_maybe_shared(target).map_err(|_| Error::Malformed("target"))?;
    if !names_server {
        return Ok(uri);
    }
    // RFC 9112 section 3.2.4: this is about the server as a whole, where `Uri` would say `/`.
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("*"));
    Uri::from_parts(parts).map_err(|_| Error::Malformed("target"))
}

/// Whether a target in absolute form has neither path nor query.
fn is_authority_alone(target: &[u8]) -> bool {
    let Some(at) = target.windows(3).position(|part| part == b"://") else { return false };
    !target[at + 3..].iter().any(|byte| matches!(byte, b'/' | b'?'))
}

/// What `Uri` can hold.
const LONGEST_TARGET: usize = u16::MAX as usize - 1;

/// Whether a request line is sound but for a version that is not one of ours.
fn names_version(read: &[u8]) -> bool {
    let line = read.trim_ascii_start().split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ').skip(2);
    let version = parts.next().and_then(|version| version.strip_prefix(b"HTTP/"));
    parts.next().is_none()
        && matches!(version, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn too_large(read: &[u8], limits: &HeadLimits) -> Error {
    let in_first_line = !read.iter().take(limits.bytes).any(|byte| *byte == b'\n');
    if in_first_line { Error::TargetTooLong } else { Error::HeadTooLarge }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 8 * 1024, fields: 20 };

    fn read(text: &str) -> Result<Option<Request>, Error> {
        take_request(&mut BytesMut::from(text), &LIMITS)
    }

    fn whole(text: &str) -> Request {
        read(text).expect("valid").expect("whole")
    }

    fn refused(fields: &str) -> Error {
        read(&format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).expect_err(fields)
    }

    #[test]
    fn a_head_is_read_and_what_follows_is_left() {
        let mut bytes = BytesMut::from("PUT /a?b HTTP/1.1\r\nHost: x\r\nX-One:  1 \r\nContent-Length: 3\r\n\r\nabc");
        let request = take_request(&mut bytes, &LIMITS).expect("valid").expect("whole");
        assert_eq!((request.head.method.as_str(), request.head.uri.to_string().as_str()), ("PUT", "/a?b"));
        assert_eq!(
            (&request.head.headers["host"], &request.head.headers["x-one"]),
            (&"x".parse().unwrap(), &"1".parse().unwrap())
        );
        assert_eq!((request.framing, request.keeps, request.expects_continue), (Framing::Length(3), true, false));
        assert_eq!(&bytes[..], b"abc");
    }

    #[test]
    fn rfc9112_9_3_who_keeps_a_connection() {
        let keeps = |line: &str, fields: &str| whole(&format!("GET / {line}\r\n{fields}\r\n")).keeps;
        assert!(keeps("HTTP/1.1", ""));
        assert!(!keeps("HTTP/1.1", "connection: x, Close\r\n"));
        assert!(!keeps("HTTP/1.1", "connection: close\r\nconnection: keep-alive\r\n"));
        assert!(!keeps("HTTP/1.0", ""));
        assert!(keeps("HTTP/1.0", "connection: Keep-Alive\r\n"));
    }

    #[test]
    fn a_connection_field_is_left_where_it_says_more_than_that() {
        let left = |fields: &str| {
            let headers = whole(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).head.headers;
            headers.get_all("connection").map(|value| value.to_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        assert!(left("connection: Keep-Alive\r\nconnection: close , keep-alive\r\n").is_empty());
        assert_eq!(left("connection: keep-alive\r\nconnection: keep-alive, Upgrade\r\n"), ["keep-alive, Upgrade"]);
        assert_eq!(left("connection: x-own\r\nconnection:\r\n"), ["x-own", ""]);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for fields in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: +5\r\n",
            "content-length: 5, 5\r\n",
            "content-length:\r\n",
            "content-length : 5\r\n",
            "content-length: 18446744073709551616\r\n",
            "x: y\r\n folded\r\n",
            " x: y\r\n",
            "x y: z\r\n",
            "x: \0\r\n",
            "x: a\rb\r\n",
        ] {
            assert!(matches!(refused(fields), Error::Malformed(_)), "{fields:?}");
        }
        for coding in ["gzip", "gzip, chunked", "chunked, chunked", "chunked, identity", "\x0bchunked", "identity", ""]
        {
            let error = refused(&format!("transfer-encoding: {coding}\r\n"));
            assert!(matches!(error, Error::UnknownCoding | Error::Malformed(_)), "{coding:?}");
        }
        assert_eq!(refused("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"), Error::UnknownCoding);
        let error = read("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").expect_err("HTTP/1.0 has no chunks");
        assert!(matches!(error, Error::Malformed(_)));
        assert!(matches!(read("GET /a#b HTTP/1.1\r\n\r\n"), Err(Error::Malformed(_))), "not cut off");
        assert!(
            matches!(read("GET /a b HTTP/1.1\r\n\r\n"), Err(Error::Malformed(_))),
            "a space is no part of a target"
        );
        assert_eq!(read("GET / HTTP/2.0\r\n\r\n").err(), Some(Error::UnknownVersion));
    }

    #[test]
    fn a_head_is_bounded_and_may_come_in_pieces() {
        let text = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n";
        for end in 0..text.len() {
            assert!(read(&text[..end]).expect("valid so far").is_none(), "{end}");
        }
        let long = "y".repeat(LIMITS.bytes);
        assert_eq!(read(&format!("GET / HTTP/1.1\r\nx: {long}")).err(), Some(Error::HeadTooLarge));
        assert_eq!(read(&format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n")).err(), Some(Error::HeadTooLarge));
        assert_eq!(read(&format!("GET /{long}")).err(), Some(Error::TargetTooLong));
        let fields = "x: y\r\n".repeat(LIMITS.fields + 1);
        assert_eq!(read(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).err(), Some(Error::TooManyFields));
        let many = HeadLimits { bytes: 1 << 20, fields: 1000 };
        let text = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(900));
        let request = take_request(&mut BytesMut::from(text.as_str()), &many).expect("valid").expect("whole");
        assert_eq!(request.head.headers.len(), 900);
    }

    #[test]
    fn rfc9112_3_2_4_options_of_an_authority_alone_is_of_the_server() {
        let target = |line: &str| {
            let uri = whole(&format!("{line} HTTP/1.1\r\n\r\n")).head.uri;
            (
                uri.authority().map(|authority| authority.to_string()),
                uri.path_and_query().map(|path| path.as_str().to_owned()),
            )
        };
        let a = || Some("a".to_owned());
        assert_eq!(target("OPTIONS http://a"), (a(), Some("*".into())));
        assert_eq!(target("OPTIONS http://a/"), (a(), Some("/".into())));
        assert_eq!(target("OPTIONS http://a?x"), (a(), Some("?x".into())));
        assert_eq!(target("GET http://a"), (a(), Some("/".into())));
    }

    #[test]
    fn rfc9110_10_1_1_expectations_are_seen() {
        assert!(whole("PUT / HTTP/1.1\r\nexpect: 100-Continue\r\n\r\n").expects_continue);
        assert!(!whole("PUT / HTTP/1.0\r\nexpect: 100-continue\r\n\r\n").expects_continue);
    }

    proptest! {
        #[test]
        fn no_bytes_are_fatal(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _either = take_request(&mut BytesMut::from(&bytes[..]), &LIMITS);
        }
    }
}
