//! gRPC-Web (its PROTOCOL-WEB.md): what browsers speak in the place of gRPC, since they see no trailers. Towards endpoints it
//! is gRPC; on the way back the trailers are the last message of the body. As text, all of it is in base64.

use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderValue;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TE};
use plimsoll_fields::{Fields, Frame, RequestHead};

use crate::downstream::{Base64Body, Body, ClientBody};
use crate::error::Error;

/// A call of gRPC-Web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GrpcWeb {
    /// Whether the request is in base64, and whether the answer is to be.
    asks_in_text: bool,
    wants_text: bool,
}

const GRPC: &[u8] = b"application/grpc";
const WEB: &[u8] = b"application/grpc-web";
const TEXT: &[u8] = b"application/grpc-web-text";
/// Of the message that has the trailers.
const TRAILERS: u8 = 0x80;

impl GrpcWeb {
    /// Whether a request is a call.
    pub(super) fn of(head: &RequestHead) -> Option<Self> {
        let media_type = head.headers.get(CONTENT_TYPE)?.as_bytes();
        let asks_in_text = of_type(media_type, TEXT).is_some();
        if !asks_in_text && of_type(media_type, WEB).is_none() {
            return None;
        }
        let accepts = |accepted: &HeaderValue| accepted.as_bytes().split(|byte| *byte == b',').any(is_text);
        let wants_text = match head.headers.get(ACCEPT) {
            Some(accepted) => accepts(accepted),
            None => asks_in_text,
        };
        Some(Self { asks_in_text, wants_text })
    }

    /// Makes it a call of gRPC.
    pub(super) fn translate_request(self, headers: &mut Fields) {
        let from = if self.asks_in_text { TEXT } else { WEB };
        retype(headers, from, GRPC);
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if self.asks_in_text {
            headers.remove(CONTENT_LENGTH);
        }
    }

    /// The body of the call.
    pub(super) fn body(self, body: ClientBody) -> ClientBody {
        match body {
            ClientBody::Empty => ClientBody::Empty,
            body if self.asks_in_text => ClientBody::Base64(Box::new(Base64Body::new(body))),
            body => body,
        }
    }

    /// Makes the fields of an answer of gRPC those of one that the client understands. False when it is none.
    pub(super) fn retype(self, headers: &mut Fields) -> bool {
        retype(headers, GRPC, if self.wants_text { TEXT } else { WEB })
    }

    /// Makes the head of an answer of gRPC one that the client understands. Answers whether its body is to be in base64, and
    /// none when it is no such answer.
    pub(super) fn translate_response(self, headers: &mut Fields) -> Option<bool> {
        let is_answer = self.retype(headers);
        if is_answer {
            headers.remove(CONTENT_LENGTH);
        }
        is_answer.then_some(self.wants_text)
    }
}

fn is_text(accepted: &[u8]) -> bool {
    of_type(accepted.trim_ascii(), TEXT).is_some()
}

/// What follows a media type: how messages are coded, or parameters.
fn of_type<'a>(value: &'a [u8], media_type: &[u8]) -> Option<&'a [u8]> {
    let (own, rest) = value.split_at_checked(media_type.len())?;
    (own.eq_ignore_ascii_case(media_type) && matches!(rest, [] | [b'+' | b';' | b' ', ..])).then_some(rest)
}

fn retype(headers: &mut Fields, from: &[u8], to: &[u8]) -> bool {
    let typed = headers.get(CONTENT_TYPE).and_then(|value| of_type(value.as_bytes(), from));
    let Some(value) = typed.and_then(|rest| HeaderValue::from_bytes(&[to, rest].concat()).ok()) else { return false };
    headers.insert(CONTENT_TYPE, value);
    true
}

/// The body of an answer of gRPC as its client reads it.
#[derive(Debug)]
pub(super) struct WebBody<B> {
    pub(super) of_grpc: B,
    pub(super) in_text: bool,
}

impl<B: Body> WebBody<B> {
    pub(super) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let Some(frame) = ready!(self.of_grpc.poll_frame(task)) else { return Poll::Ready(None) };
        let bytes = match frame? {
            Frame::Data(data) => data,
            Frame::Trailers(trailers) => message_of(&trailers),
        };
        let bytes = if self.in_text { BASE64_STANDARD.encode(bytes).into() } else { bytes };
        Poll::Ready(Some(Ok(Frame::Data(bytes))))
    }

    pub(super) fn is_ended(&self) -> bool {
        self.of_grpc.is_ended()
    }
}

/// Trailers as a message: as they would stand in HTTP/1.1.
fn message_of(trailers: &Fields) -> Bytes {
    let mut text = BytesMut::new();
    for (name, value) in trailers {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    let mut message = BytesMut::with_capacity(5 + text.len());
    message.put_u8(TRAILERS);
    // Bounded by what is read of an endpoint's fields.
    message.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    message.put(text);
    message.freeze()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_call_is_told_by_its_media_type_and_answered_as_it_asks() {
        let of = |media_type: &str, accept: Option<&str>| {
            let mut request = Request::post("/a/b").header("content-type", media_type);
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            let mut head = RequestHead::from(request.body(()).expect("valid"));
            let web = GrpcWeb::of(&head)?;
            web.translate_request(&mut head.headers);
            let asked = head.headers[CONTENT_TYPE].to_str().expect("text").to_owned();
            assert!(web.retype(&mut head.headers));
            Some((asked, head.headers[CONTENT_TYPE].to_str().expect("text").to_owned()))
        };
        let some = |asked: &str, answered: &str| Some((asked.to_owned(), answered.to_owned()));
        assert_eq!(of("application/grpc-web", None), some("application/grpc", "application/grpc-web"));
        assert_eq!(
            of("application/grpc-web+proto", None),
            some("application/grpc+proto", "application/grpc-web+proto")
        );
        assert_eq!(of("Application/gRPC-Web-Text", None), some("application/grpc", "application/grpc-web-text"));
        assert_eq!(
            of("application/grpc-web+proto", Some("x/y, application/grpc-web-text")),
            some("application/grpc+proto", "application/grpc-web-text+proto")
        );
        assert_eq!(
            of("application/grpc-web-text", Some("application/grpc-web")),
            some("application/grpc", "application/grpc-web")
        );
        for other in
            ["application/grpc", "application/grpc-webx", "application/grpc-web-textual", "application/json", ""]
        {
            assert_eq!(of(other, None), None, "{other}");
        }
    }

    #[test]
    fn trailers_are_a_message() {
        let trailers: Fields = [("grpc-status", "5"), ("grpc-message", "no")]
            .into_iter()
            .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(&message_of(&trailers)[..], b"\x80\0\0\0\x22grpc-status: 5\r\ngrpc-message: no\r\n");
    }
}
