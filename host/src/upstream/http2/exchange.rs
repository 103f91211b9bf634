use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use h2::{Reason, RecvStream};
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use plimsoll_fields::{RequestHead, ResponseHead};

use super::answer_body::AnswerBody;
use super::connection::broken;
use super::opener::Lease;
use super::upload::Upload;
use crate::downstream::Body;
use crate::error::{Error, ErrorKind};
use crate::upstream::RequestBody;
use crate::upstream::shared::{Doubt, Failure, INFORMATIONAL, UploadError, request_head};

/// Sends a request and waits for the head of its answer; heads of answers in advance go to `interim`.
pub(in crate::upstream) async fn exchange(
    lease: Lease,
    head: &RequestHead,
    body: RequestBody,
    interim: &dyn Fn(ResponseHead),
) -> Result<(ResponseHead, AnswerBody), Failure> {
    let mut sender = lease.connection().sender.clone();
    // Asked for another protocol, the endpoint gets what the client sends in it once it has agreed.
    let asks_to_switch = head.headers.get(UPGRADE);
    if asks_to_switch.is_some() && !sender.is_extended_connect_protocol_enabled() {
        // Any client can ask, so that it must not count against the endpoint.
        return Err(Failure { error: ErrorKind::NoUpgrade.into(), unacted: true, lost_connection: false });
    }
    let is_last = asks_to_switch.is_none() && body.is_ended();
    let request = as_request(request_head::form(head, &lease.connection().scheme, body.remaining()));
    let sent = match poll_fn(|task| sender.poll_ready(task)).await {
        Ok(()) => sender.send_request(request, is_last),
        Err(error) => Err(error),
    };
    let (mut answer, stream) = match sent {
        Ok(sent) => sent,
        // The endpoint has said goodbye, or every number of a stream has been used.
        Err(error) => {
            lease.retire();
            return Err(Failure { error: broken(error), unacted: true, lost_connection: true });
        }
    };
    let mut doubt = Doubt::begin(lease.connection());
    let (mut upload, open) = match asks_to_switch {
        Some(protocol) => (None, Some((protocol, stream))),
        None => (Some(Upload::new(body, stream)), None),
    };
    let mut sending = upload.is_some();
    let mut informational = 0;
    let answered = poll_fn(|task| {
        if sending
            && let Some(upload) = &mut upload
            && let Poll::Ready(sent) = upload.poll(task)
        {
            sending = false;
            if let Err(UploadError::Body(error)) = sent {
                return Poll::Ready(Err(Ended::Ours(error)));
            }
        }
        poll_head(&mut answer, &mut informational, interim, task)
    })
    .await;
    doubt.dispelled();
    match answered {
        Ok(response) => {
            let (parts, stream) = response.into_parts();
            let mut head = ResponseHead::from(parts);
            if head.headers.len() > lease.connection().header_count() {
                let error = Error::new(ErrorKind::UpstreamProtocol, "the head of the answer has too many fields");
                return Err(Failure { error, unacted: false, lost_connection: false });
            }
            let mut body = AnswerBody::new(stream, &head.headers, lease);
            match (upload, open) {
                (Some(upload), _) if sending => body.upload_aside(upload),
                (_, Some((protocol, stream))) if head.status.is_success() => {
                    request_head::note_switch(&mut head, protocol);
                    body.keep_open(stream);
                }
                // Nothing more is to come; the answer tells how the stream ends.
                (_, Some((_, mut stream))) => drop(stream.send_data(Bytes::new(), true)),
                _ => {}
            }
            Ok((head, body))
        }
        Err(Ended::Ours(error)) => Err(Failure { error, unacted: false, lost_connection: false }),
        Err(Ended::Theirs(error)) => {
            let lost_connection = !error.is_reset();
            if lost_connection {
                lease.retire();
            }
            // RFC 9113 sections 6.8 and 8.7: it has not been acted on, and may be sent again whatever it asks for.
            let refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
            let unacted = error.is_remote() && refused;
            Err(Failure { error: broken(error), unacted, lost_connection })
        }
    }
}

/// The head as the library wants it.
fn as_request(head: RequestHead) -> Request<()> {
    let RequestHead { method, uri, version, headers, protocol } = head;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = version;
    *request.headers_mut() = headers.into();
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(Protocol::from(&*protocol));
    }
    request
}

/// What ended an exchange.
enum Ended {
    /// The client's side, or what the endpoint may not do.
    Ours(Error),
    Theirs(h2::Error),
}

fn poll_head(
    answer: &mut ResponseFuture,
    informational: &mut usize,
    interim: &dyn Fn(ResponseHead),
    task: &mut Context<'_>,
) -> Poll<Result<Response<RecvStream>, Ended>> {
    while let Poll::Ready(Some(head)) = answer.poll_informational(task) {
        let (head, ()) = head.map_err(Ended::Theirs)?.into_parts();
        *informational += 1;
        // There is no other protocol to switch to (RFC 9113 section 8.6).
        if head.status == StatusCode::SWITCHING_PROTOCOLS || *informational > INFORMATIONAL {
            return Poll::Ready(Err(Ended::Ours(Error::new(ErrorKind::UpstreamProtocol, "unexpected 1xx"))));
        }
        // The proxy has told the client to go on by itself.
        if head.status != StatusCode::CONTINUE {
            interim(head.into());
        }
    }
    Pin::new(answer).poll(task).map_err(Ended::Theirs)
}
