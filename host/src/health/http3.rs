use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::BytesMut;
use http::Method;
use http::header::CONTENT_LENGTH;
use http::uri::Scheme;
use plimsoll_fields::{Fields, Frame, RequestHead};
use plimsoll_http3::{Code, Settings, encode_request, put_data_header, put_section, put_settings, read_response};

use super::message::{Answer, HEAD_BYTES, Request};
use crate::io::{Http3Message, IntoQuic, Unread};

/// Answers in advance that a probe passes over.
const INFORMATIONAL: usize = 32;

/// Sends a request over a connection of QUIC of its own, which ends with it. The error says what failed.
pub(super) async fn over_http3(
    quic: quinn::Connection,
    address: SocketAddr,
    request: Request,
) -> Result<Answer, String> {
    let ended = Ended(quic);
    let quic = &ended.0;
    let head = RequestHead::from(request.head_of_http2(address, Scheme::HTTPS)?);
    let settings = Settings { max_field_section_size: Some(HEAD_BYTES.into()), enable_connect_protocol: false };
    let mut greeting = Vec::new();
    put_settings(&mut greeting, &settings);
    let mut control = quic.open_uni().await.map_err(failed("speaking HTTP/3"))?;
    control.write_all(&greeting).await.map_err(failed("speaking HTTP/3"))?;
    let (mut send, recv) = quic.open_bi().await.map_err(failed("speaking HTTP/3"))?;
    let (mut section, mut bytes) = (Vec::new(), BytesMut::new());
    encode_request(&head, &mut section);
    put_section(&mut bytes, &section);
    if !request.body.is_empty() {
        put_data_header(&mut bytes, request.body.len());
        bytes.extend_from_slice(&request.body);
    }
    send.write_all(&bytes).await.map_err(failed("the exchange"))?;
    // It fails when the endpoint wants no more of it; the answer tells.
    let _ = send.finish();
    let mut message = Http3Message::new(quic.clone(), recv, HEAD_BYTES as usize, Code::RequestCancelled);
    let exchange = |unread: &Unread| format!("the exchange failed: {}", in_words(unread));
    let mut informational = 0;
    let answered = loop {
        let section = poll_fn(|task| message.poll_section(task)).await.map_err(|unread| exchange(&unread))?;
        let answered = read_response(&section, HEAD_BYTES as usize);
        let answered = answered.map_err(|error| exchange(&message.unreadable(error)))?;
        informational += 1;
        if !answered.status.is_informational() || informational > INFORMATIONAL {
            break answered;
        }
        message.expect_another_head();
    };
    let length = answered.headers.get(CONTENT_LENGTH).filter(|_| head.method != Method::HEAD);
    message.begin_body(length.and_then(|length| length.to_str().ok()?.parse().ok()));
    let (mut body, mut trailers, mut is_whole) = (Vec::new(), Fields::new(), false);
    while body.len() < request.most {
        let Some(frame) = poll_fn(|task| message.poll_frame(task)).await else {
            is_whole = true;
            break;
        };
        let frame = frame.map_err(|unread| format!("reading the answer failed: {}", in_words(&unread)))?;
        match frame {
            Frame::Data(data) => body.extend_from_slice(&data),
            Frame::Trailers(fields) => trailers = fields,
        }
    }
    Ok(Answer::new(&answered, (body, request.most), is_whole.then_some(&trailers)))
}

/// Ends its connection when dropped.
struct Ended(quinn::Connection);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.close(Code::NoError.into_quic(), b"");
    }
}

fn failed<E: std::error::Error>(doing: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{doing} failed: {error}")
}

fn in_words(unread: &Unread) -> String {
    match unread {
        Unread::Gone(error) => error.to_string(),
        Unread::Malformed(how) => (*how).to_owned(),
        Unread::TooLarge => "fields that are too large".to_owned(),
        Unread::Broken(code) => format!("it breaks the protocol ({code:?})"),
    }
}
