use http::Method;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use plimsoll_fields::RequestHead;

use crate::body_encoder::EncodedFraming;

/// How a request with this head and a body of `length` bytes, if that is known, is to be delimited.
pub fn request_framing(head: &RequestHead, length: Option<u64>) -> EncodedFraming {
    match length {
        None => EncodedFraming::Chunked,
        // RFC 9110 section 8.6: where a method gives a body a meaning, its absence is said.
        Some(0) if !expects_body(head) => EncodedFraming::None,
        Some(length) => EncodedFraming::Length(length),
    }
}

fn expects_body(head: &RequestHead) -> bool {
    matches!(head.method, Method::POST | Method::PUT | Method::PATCH) || head.headers.contains(CONTENT_LENGTH)
}

/// Writes a request's head in origin form. What says how long the body is comes from `framing` alone: a field of the
/// client that said something else would let the endpoint see another request than we do.
pub fn write_request(head: &RequestHead, framing: EncodedFraming, out: &mut Vec<u8>) {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(if target.is_empty() { b"/" } else { target.as_bytes() });
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &head.headers {
        if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match framing {
        // The end of the connection ends no request.
        EncodedFraming::None | EncodedFraming::Close => {}
        EncodedFraming::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        EncodedFraming::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn written(request: http::request::Builder, length: Option<u64>) -> String {
        let head = RequestHead::from(request.body(()).expect("the request is valid"));
        let mut out = Vec::new();
        write_request(&head, request_framing(&head, length), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_head_is_the_request_line_and_the_fields_in_their_order() {
        let request = Request::get("/a?b=c").header("host", "x").header("x-two", "1").header("x-two", "2");
        assert_eq!(written(request, Some(0)), "GET /a?b=c HTTP/1.1\r\nhost: x\r\nx-two: 1\r\nx-two: 2\r\n\r\n");
        assert_eq!(
            written(Request::options("*").header("host", "x"), Some(0)),
            "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n"
        );
    }

    #[test]
    fn the_length_that_is_sent_is_that_of_the_body() {
        let post = || Request::post("/").header("content-length", "7");
        assert_eq!(written(post(), Some(3)), "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n");
        assert_eq!(written(post(), None), "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(
            written(Request::get("/").header("content-length", "7"), Some(0)),
            "GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(written(Request::put("/"), Some(0)), "PUT / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(written(Request::delete("/"), Some(0)), "DELETE / HTTP/1.1\r\n\r\n");
    }
}
