use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{StatusCode, Version};
use plimsoll_fields::{ReasonPhrase, ResponseHead};

use crate::body_decoder::Framing;
use crate::copied::Copied;
use crate::error::Error;
use crate::field_reader::{Coding, FieldReader, HeadLimits};
use crate::parsing::{self, ON_STACK};

/// An answer as it was received, up to its body.
#[derive(Debug)]
pub struct Response {
    /// `Connection` is left out where it says no more than `keeps`.
    pub head: ResponseHead,
    pub framing: Framing,
    /// The sender keeps the connection open after this answer.
    pub keeps: bool,
}

/// Takes a head from the beginning of what was read; none while it is not whole. Answers to HEAD have no body, whatever
/// they say of its length.
pub fn take_response(
    read: &mut BytesMut,
    to_head_request: bool,
    limits: &HeadLimits,
) -> Result<Option<Response>, Error> {
    let mut response = httparse::Response::new(&mut []);
    let mut on_stack = [const { MaybeUninit::uninit() }; ON_STACK];
    let mut on_heap = Vec::new();
    let fields = parsing::room(limits, &mut on_stack, &mut on_heap);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, read, fields);
    let httparse::Status::Complete(length) = parsed.map_err(parsing::error)? else {
        return if read.len() > limits.bytes { Err(Error::HeadTooLarge) } else { Ok(None) };
    };
    if length > limits.bytes {
        return Err(Error::HeadTooLarge);
    }
    let response = read_parsed(&response, &read[..length], to_head_request)?;
    read.advance(length);
    Ok(Some(response))
}

fn read_parsed(
    response: &httparse::Response<'_, '_>,
    received: &[u8],
    to_head_request: bool,
) -> Result<Response, Error> {
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Error::Malformed("no status"))?;
    let is_1_1 = response.version == Some(1);
    let copied = Copied::of(received);
    let mut fields = FieldReader::with_capacity(response.headers.len() + 1);
    for field in &*response.headers {
        fields.add(field.name, copied.value(field))?;
    }
    let FieldReader { mut headers, length, coding, keeps } = fields;
    let mut keeps = keeps.unwrap_or(is_1_1);
    let framing = match (coding, length) {
        // The field ends here, so a coding that is not undone here cannot be passed on.
        (Some(Coding::Others | Coding::Endless), _) => return Err(Error::UnknownCoding),
        _ if to_head_request || has_no_content(status) => Framing::Length(0),
        (Some(Coding::Chunked), length) => {
            // A length beside the coding: the coding counts, and what comes after the body is not to be trusted
            // (RFC 9112 section 6.1). HTTP/1.0 knows no coding.
            if length.is_some() {
                headers.remove(CONTENT_LENGTH);
            }
            keeps &= length.is_none() && is_1_1;
            Framing::Chunked
        }
        (None, Some(length)) => Framing::Length(length),
        (None, None) => {
            keeps = false;
            Framing::Close
        }
    };
    let version = if is_1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let reason = response.reason.filter(|reason| Some(*reason) != status.canonical_reason());
    let reason = reason.and_then(|reason| ReasonPhrase::new(reason.as_bytes()));
    Ok(Response { head: ResponseHead { status, version, headers, reason }, framing, keeps })
}

/// Statuses whose answers end with their head (RFC 9112 section 6.3).
fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 128 };

    fn read(head: &str) -> Result<Option<Response>, Error> {
        take_response(&mut BytesMut::from(head), false, &LIMITS)
    }

    fn whole(fields: &str) -> Response {
        read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).expect("valid").expect("whole")
    }

    fn framing(fields: &str) -> (Framing, bool) {
        let response = whole(fields);
        (response.framing, response.keeps)
    }

    #[test]
    fn rfc9112_6_3_decides_where_a_body_ends() {
        assert_eq!(framing("content-length: 5\r\n"), (Framing::Length(5), true));
        assert_eq!(framing("content-length: 5\r\ncontent-length: 5\r\n"), (Framing::Length(5), true));
        assert_eq!(framing("transfer-encoding: Chunked\r\n"), (Framing::Chunked, true));
        assert_eq!(framing(""), (Framing::Close, false));
        assert_eq!(framing("content-length: 5\r\nconnection: x, Close\r\n"), (Framing::Length(5), false));
        let both = whole("content-length: 5\r\ntransfer-encoding: chunked\r\n");
        assert_eq!((both.framing, both.keeps), (Framing::Chunked, false));
        assert!(!both.head.headers.contains("content-length"));
        let response =
            take_response(&mut BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"), true, &LIMITS);
        assert_eq!(response.expect("valid").expect("whole").framing, Framing::Length(0));
        let not_modified =
            read("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n").expect("valid").expect("whole");
        assert_eq!(not_modified.framing, Framing::Length(0));
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
            assert!(matches!(result, Err(Error::Malformed(_) | Error::UnknownCoding)), "{fields:?}: {result:?}");
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
        let response = read(text).expect("valid").expect("whole");
        assert_eq!(response.head.reason.as_ref().map(ReasonPhrase::as_bytes), Some(&b"Well now"[..]));
        assert!(read(&format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LIMITS.bytes))).is_err());
        assert!(read(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(LIMITS.fields + 1))).is_err());
    }
}
