use http::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
use http::{StatusCode, Version};
use plimsoll_fields::{ReasonPhrase, ResponseHead};

use crate::body_encoder::EncodedFraming;

/// Writes an answer's head for a client of `version`. `Content-Length` is written as the head has it, which must be the
/// length that `framing` says; fields of the connection are written from `framing` and `keeps` alone, which says whether it
/// stays open, and from `Upgrade`, which 101 and 426 have (RFC 9110 section 7.8).
pub fn write_response(head: &ResponseHead, version: Version, framing: EncodedFraming, keeps: bool, out: &mut Vec<u8>) {
    let is_1_0 = version == Version::HTTP_10;
    out.extend_from_slice(if is_1_0 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(head));
    out.extend_from_slice(b"\r\n");
    let mut upgrade = false;
    for (name, value) in &head.headers {
        if *name == CONNECTION || *name == TRANSFER_ENCODING {
            continue;
        }
        upgrade |= *name == UPGRADE;
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if framing == EncodedFraming::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if upgrade {
        out.extend_from_slice(b"connection: upgrade\r\n");
    }
    match keeps {
        // The connection is another protocol's from here on.
        _ if head.status == StatusCode::SWITCHING_PROTOCOLS => {}
        false => out.extend_from_slice(b"connection: close\r\n"),
        // Its clients expect the end of the connection (RFC 9112 section 9.3).
        true if is_1_0 => out.extend_from_slice(b"connection: keep-alive\r\n"),
        true => {}
    }
    out.extend_from_slice(b"\r\n");
}

fn reason(head: &ResponseHead) -> &[u8] {
    head.reason.as_ref().map_or_else(|| usual_reason(head.status).as_bytes(), ReasonPhrase::as_bytes)
}

fn usual_reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn written(response: http::response::Builder, framing: EncodedFraming, keeps: bool) -> String {
        let head = ResponseHead::from(response.body(()).expect("the answer is valid").into_parts().0);
        let mut out = Vec::new();
        write_response(&head, head.version, framing, keeps, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn fields_of_the_connection_come_from_the_framing_alone() {
        let answer =
            || Response::builder().header("x", "1").header("connection", "x").header("transfer-encoding", "gzip");
        let chunked = written(answer(), EncodedFraming::Chunked, true);
        assert_eq!(chunked, "HTTP/1.1 200 OK\r\nx: 1\r\ntransfer-encoding: chunked\r\n\r\n");
        let closed = written(answer().status(599), EncodedFraming::Close, false);
        assert_eq!(closed, "HTTP/1.1 599 \r\nx: 1\r\nconnection: close\r\n\r\n");
        let switched = written(answer().status(101).header("upgrade", "websocket"), EncodedFraming::Close, false);
        assert_eq!(
            switched,
            "HTTP/1.1 101 Switching Protocols\r\nx: 1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        );
        let answer = Response::builder().version(Version::HTTP_10).status(304).header("content-length", "9");
        let kept = written(answer, EncodedFraming::None, true);
        assert_eq!(kept, "HTTP/1.0 304 Not Modified\r\ncontent-length: 9\r\nconnection: keep-alive\r\n\r\n");
    }

    #[test]
    fn a_reason_of_its_own_is_written() {
        let head = ResponseHead { reason: ReasonPhrase::new(b"Fine"), ..ResponseHead::of(StatusCode::OK) };
        let mut out = Vec::new();
        write_response(&head, Version::HTTP_11, EncodedFraming::None, true, &mut out);
        assert!(out.starts_with(b"HTTP/1.1 200 Fine\r\n"));
        assert_eq!(ReasonPhrase::new(b"a\r\nx: y"), None);
    }
}
