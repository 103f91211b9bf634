use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, UPGRADE};
use http::uri::Scheme;
use http::{Method, StatusCode};
use plimsoll_fields::{RequestHead, ResponseHead};
use plimsoll_http3::{Code, encode_request, read_response};
use quinn::{ReadError, StreamId};

use super::answer_body::AnswerBody;
use super::connection::Connection;
use super::fault::fault;
use super::opener::Lease;
use super::upload::Upload;
use crate::downstream::Body;
use crate::error::{Error, ErrorKind};
use crate::io::{Http3Message, IntoQuic, Unread};
use crate::upstream::RequestBody;
use crate::upstream::shared::{Doubt, Failure, INFORMATIONAL, UploadError, request_head};

/// Sends a request and waits for the head of its answer; heads of answers in advance go to `interim`.
pub(in crate::upstream) async fn exchange(
    mut lease: Lease,
    head: &RequestHead,
    body: RequestBody,
    interim: &dyn Fn(ResponseHead),
) -> Result<(ResponseHead, AnswerBody), Failure> {
    let connection = lease.connection().clone();
    // Asked for another protocol, the endpoint gets what the client sends in it once it has agreed.
    let asks_to_switch = head.headers.get(UPGRADE);
    if asks_to_switch.is_some() {
        match connection.settings().await {
            Some(settings) if settings.enable_connect_protocol => {}
            // Any client can ask, so that it must not count against the endpoint.
            Some(_) => return Err(unsent(ErrorKind::NoUpgrade.into(), false)),
            None => return Err(unsent(ErrorKind::UpstreamReset.into(), true)),
        }
    }
    let Some(stream) = lease.stream() else {
        return Err(unsent(ErrorKind::UpstreamReset.into(), true));
    };
    let (send, recv) = *stream;
    let stream = recv.id();
    let mut section = Vec::with_capacity(512);
    let request = request_head::form(head, &Scheme::HTTPS, body.remaining());
    encode_request(&request, &mut section);
    let mut upload = match asks_to_switch {
        None => Upload::new(send, &section, body),
        Some(_) => Upload::of_head(send, &section),
    };
    drop((request, section));
    let most_bytes = connection.head_limits.bytes;
    // RFC 9114 section 4.1.1.
    let message = Http3Message::new(connection.quic.clone(), recv, most_bytes, Code::RequestCancelled);
    let mut answer = Answer { message, connection: &connection, interim, informational: 0 };
    let mut doubt = Doubt::begin(&connection);
    let mut sending = true;
    let mut refused = pin!(connection.refuses(stream));
    let answered = poll_fn(|task| {
        if sending {
            let sent = if asks_to_switch.is_some() { upload.poll_send(task) } else { upload.poll(task) };
            if let Poll::Ready(sent) = sent {
                sending = false;
                if let Err(UploadError::Body(error)) = sent {
                    return Poll::Ready(Err(Ended::Ours(error)));
                }
            }
        }
        if let Poll::Ready(answered) = answer.poll_head(task) {
            return Poll::Ready(answered);
        }
        refused.as_mut().poll(task).map(|()| Err(Ended::Refused))
    })
    .await;
    doubt.dispelled();
    let mut message = answer.message;
    match answered {
        Ok(mut parts) => {
            message.begin_body(length(head, &parts));
            let mut body = AnswerBody::new(message, lease);
            match asks_to_switch {
                Some(protocol) if parts.status.is_success() => {
                    request_head::note_switch(&mut parts, protocol);
                    body.keep_open(upload);
                }
                // Nothing more is to come; the answer tells how the stream ends.
                Some(_) => upload.finish(),
                None if sending => body.upload_aside(upload),
                None => {}
            }
            Ok((parts, body))
        }
        Err(Ended::Ours(error)) => Err(Failure { error, unacted: false, lost_connection: false }),
        Err(Ended::Refused) => {
            lease.retire();
            let error = Error::new(ErrorKind::UpstreamReset, "the endpoint takes no more requests on the connection");
            Err(unsent(error, true))
        }
        Err(Ended::Theirs(unread)) => Err(failure(&lease, stream, &unread)),
    }
}

/// A request of which the endpoint knows nothing.
fn unsent(error: Error, lost_connection: bool) -> Failure {
    Failure { error, unacted: true, lost_connection }
}

fn failure(lease: &Lease, stream: StreamId, unread: &Unread) -> Failure {
    let is_rejected =
        matches!(unread, Unread::Gone(ReadError::Reset(code)) if *code == Code::RequestRejected.into_quic());
    let lost_connection = matches!(unread, Unread::Gone(ReadError::ConnectionLost(_)) | Unread::Broken(_));
    if lost_connection {
        lease.retire();
    }
    // RFC 9114 sections 4.1.1 and 5.2: it has not been acted on, and may be sent again whatever it asks for.
    let unacted = is_rejected || lease.connection().is_refused(stream);
    Failure { error: fault(unread), unacted, lost_connection }
}

/// What ended an exchange.
enum Ended {
    /// The client's side, or what the endpoint may not do.
    Ours(Error),
    Theirs(Unread),
    /// The endpoint has said that it does not act on it.
    Refused,
}

/// An answer of which the head is waited for.
struct Answer<'a> {
    message: Http3Message,
    connection: &'a Connection,
    interim: &'a dyn Fn(ResponseHead),
    informational: usize,
}

impl Answer<'_> {
    fn poll_head(&mut self, task: &mut Context<'_>) -> Poll<Result<ResponseHead, Ended>> {
        loop {
            let head = match ready!(self.message.poll_section(task)) {
                Ok(section) => self.read(&section),
                Err(unread) => Err(unread),
            };
            let head = head.map_err(Ended::Theirs)?;
            if head.headers.len() > self.connection.head_limits.fields {
                let error = Error::new(ErrorKind::UpstreamProtocol, "the head of the answer has too many fields");
                return Poll::Ready(Err(Ended::Ours(error)));
            }
            if !head.status.is_informational() {
                return Poll::Ready(Ok(head));
            }
            self.informational += 1;
            // There is no other protocol to switch to (RFC 9114 section 4.5).
            if head.status == StatusCode::SWITCHING_PROTOCOLS || self.informational > INFORMATIONAL {
                return Poll::Ready(Err(Ended::Ours(Error::new(ErrorKind::UpstreamProtocol, "unexpected 1xx"))));
            }
            self.message.expect_another_head();
            // The proxy has told the client to go on by itself.
            if head.status != StatusCode::CONTINUE {
                (self.interim)(head);
            }
        }
    }

    fn read(&self, section: &[u8]) -> Result<ResponseHead, Unread> {
        read_response(section, self.connection.head_limits.bytes).map_err(|error| self.message.unreadable(error))
    }
}

/// Bytes of the body, where the head says how many come.
fn length(asked: &RequestHead, head: &ResponseHead) -> Option<u64> {
    let has_body = asked.method != Method::HEAD
        && !asked.headers.contains(UPGRADE)
        && head.status != StatusCode::NO_CONTENT
        && head.status != StatusCode::NOT_MODIFIED;
    let length = head.headers.get(CONTENT_LENGTH).filter(|_| has_body)?;
    length.to_str().ok()?.parse().ok()
}
