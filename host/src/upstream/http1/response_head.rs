use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;

use crate::error::{Error, ErrorKind};

/// Bounds of an answer's head. They are wider than what servers send and narrower than what would hurt.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
const FIELDS: usize = 128;

/// How an answer's body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    Length(u64),
    Chunked,
    /// By the end of the connection.
    Close,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) parts: Parts,
    pub(super) framing: ResponseFraming,
    /// The endpoint keeps the connection open after this answer.
    pub(super) keeps: bool,
}

/// Takes a head from the beginning of what was read; none while it is not whole.
pub(super) fn take(read: &mut BytesMut, to_head_request: bool) -> Result<Option<ResponseHead>, Error> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, read, &mut fields)
        .map_err(|error| Error::new(ErrorKind::UpstreamProtocol, error))?;
    let httparse::Status::Complete(length) = parsed else {
        return if read.len() > HEAD_BYTES { Err(broken("head is too large")) } else { Ok(None) };
    };
    let head = read_parsed(&response, to_head_request)?;
    read.advance(length);
    Ok(Some(head))
}

fn read_parsed(response: &httparse::Response<'_, '_>, to_head_request: bool) -> Result<ResponseHead, Error> {
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| broken("no status"))?;
    let is_1_1 = response.version == Some(1);
    let mut length = None;
    let mut coding = None;
    let mut connection = Persistence { keeps: is_1_1 };
    let mut headers = HeaderMap::with_capacity(response.headers.len() + 1);
    for field in &*response.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| broken("field name"))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| broken("field value"))?;
        if name == CONTENT_LENGTH {
            let announced = parse_length(field.value).ok_or_else(|| broken("content-length"))?;
            match length.replace(announced) {
                None => {}
                // RFC 9112 section 6.3: the same once more is forgiven.
                Some(before) if before == announced => continue,
                Some(_) => return Err(broken("content-length twice")),
            }
        } else if name == TRANSFER_ENCODING {
            // Another coding than `chunked`, or two, cannot be passed on, since the field ends here.
            if coding.replace(()).is_some() || !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(broken("transfer-encoding"));
            }
        } else if name == CONNECTION {
            connection.read(field.value);
        }
        headers.append(name, value);
    }
    let no_body = to_head_request
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let mut keeps = connection.keeps;
    let framing = match (coding, length) {
        _ if no_body => ResponseFraming::Length(0),
        (Some(()), length) => {
            // A length beside the coding: the coding counts, and what comes after the body is not to be trusted
            // (RFC 9112 section 6.1). HTTP/1.0 knows no coding.
            if length.is_some() {
                headers.remove(CONTENT_LENGTH);
            }
            keeps &= length.is_none() && is_1_1;
            ResponseFraming::Chunked
        }
        (None, Some(length)) => ResponseFraming::Length(length),
        (None, None) => {
            keeps = false;
            ResponseFraming::Close
        }
    };
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.version = if is_1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    parts.headers = headers;
    if let Some(reason) = response.reason
        && Some(reason) != status.canonical_reason()
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        parts.extensions.insert(reason);
    }
    Ok(ResponseHead { parts, framing, keeps })
}

struct Persistence {
    keeps: bool,
}

impl Persistence {
    /// RFC 9112 section 9.3: `close` ends a connection of any version, `keep-alive` keeps one of HTTP/1.0.
    fn read(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keeps = false;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps = true;
            }
        }
    }
}

/// Decimal digits only: a sign, spaces or a list could be read otherwise by the next in line.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0_u64, |length, digit| length.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

fn broken(what: &'static str) -> Error {
    Error::new(ErrorKind::UpstreamProtocol, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<Option<ResponseHead>, Error> {
        take(&mut BytesMut::from(head), false)
    }

    fn whole(fields: &str) -> ResponseHead {
        read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).expect("valid").expect("whole")
    }

    fn framing(fields: &str) -> (ResponseFraming, bool) {
        let head = whole(fields);
        (head.framing, head.keeps)
    }

    #[test]
    fn rfc9112_6_3_decides_where_a_body_ends() {
        assert_eq!(framing("content-length: 5\r\n"), (ResponseFraming::Length(5), true));
        assert_eq!(framing("content-length: 5\r\ncontent-length: 5\r\n"), (ResponseFraming::Length(5), true));
        assert_eq!(framing("transfer-encoding: Chunked\r\n"), (ResponseFraming::Chunked, true));
        assert_eq!(framing(""), (ResponseFraming::Close, false));
        assert_eq!(framing("content-length: 5\r\nconnection: x, Close\r\n"), (ResponseFraming::Length(5), false));
        let both = whole("content-length: 5\r\ntransfer-encoding: chunked\r\n");
        assert_eq!((both.framing, both.keeps), (ResponseFraming::Chunked, false));
        assert!(!both.parts.headers.contains_key("content-length"));
        let head = take(&mut BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"), true);
        assert_eq!(head.expect("valid").expect("whole").framing, ResponseFraming::Length(0));
        let not_modified =
            read("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n").expect("valid").expect("whole");
        assert_eq!(not_modified.framing, ResponseFraming::Length(0));
    }

    #[test]
    fn http_1_0_is_kept_only_when_it_says_so() {
        let keeps = |fields: &str| {
            read(&format!("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n{fields}\r\n")).expect("valid").expect("whole").keeps
        };
        assert!(!keeps(""));
        assert!(keeps("connection: keep-alive\r\n"));
    }

    #[test]
    fn heads_that_can_be_read_in_two_ways_are_refused() {
        for fields in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: +5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: 18446744073709551616\r\n",
            "content-length:\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: \x0bchunked\r\n",
            "x : y\r\n",
            "x: y\r\n folded\r\n",
        ] {
            let result = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            assert_eq!(result.err().map(|error| error.kind), Some(ErrorKind::UpstreamProtocol), "{fields:?}");
        }
        assert!(read("SSH-2.0-OpenSSH_9\r\n\r\n").is_err());
        assert!(read("HTTP/1.1 99999 X\r\n\r\n").is_err());
    }

    #[test]
    fn a_head_is_bounded_and_may_come_in_pieces() {
        let text = "HTTP/1.1 299 Well now\r\nx-a: 1\r\n\r\n";
        for end in 0..text.len() {
            assert!(read(&text[..end]).expect("valid so far").is_none(), "{end}");
        }
        let head = read(text).expect("valid").expect("whole");
        assert_eq!(head.parts.extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes), Some(&b"Well now"[..]));
        assert!(read(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES))).is_err());
        assert!(read(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(FIELDS + 1))).is_err());
    }
}
