//! HTTP/1.1 with a client: one request after the other, each read, answered and settled before the next.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{StatusCode, Version};
use plimsoll_fields::{Frame, ResponseHead};
use plimsoll_http1::{self as codec, BodyEncoder, EncodedFraming, HeadLimits, write_response};
use tokio::io::AsyncWrite;

use super::connection::Timeout;
use super::linger;
use super::session::Session;
use crate::downstream::{Body, ClientBody, Inbound};
use crate::error::{Error, ErrorKind};
use crate::io::{Completion, poll_write_all};
use crate::proxy::{self, Link, Response, ResponseBody, Unread};

/// What answers in advance may wait for a client, in bytes.
const INTERIM_BYTES: usize = 16 * 1024;

/// Serves a connection until either side is done with it.
pub(super) async fn serve(session: Session, inbound: Rc<Inbound>) {
    let connection = Http1 { session, inbound, interim: RefCell::default() };
    let mut next = Next::Request;
    while next == Next::Request {
        next = connection.exchange().await;
    }
    connection.inbound.settle();
    if next == Next::Linger {
        linger::close(&mut &*connection.inbound, &connection.session.context.timers).await;
    }
}

struct Http1 {
    session: Session,
    inbound: Rc<Inbound>,
    /// Heads of answers in advance that wait to be sent, in front of the answer.
    interim: RefCell<Vec<u8>>,
}

/// What comes after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    /// The connection is closed at once.
    End,
    /// It is closed when the client has read its last answer, or has had the time to: it may still be sending.
    Linger,
}

/// What of a request decides how its answer is sent.
#[derive(Clone, Copy, Debug)]
struct Asked {
    version: Version,
    keeps: bool,
}

impl Http1 {
    /// One request and its answer.
    async fn exchange(&self) -> Next {
        let request = match poll_fn(|task| self.poll_head(task)).await {
            Ok(Some(request)) => request,
            Ok(None) => return Next::End,
            Err(kind) => return self.refuse(kind).await,
        };
        let connection = &self.session.connection;
        connection.request_began();
        let asked = Asked { version: request.head.version, keeps: request.keeps };
        let next = match self.respond(request).await {
            Some(response) => self.send(asked, response).await,
            None => Next::End,
        };
        connection.request_ended();
        next
    }

    /// The next head; none when there will be none.
    fn poll_head(&self, task: &mut Context<'_>) -> Poll<Result<Option<codec::Request>, ErrorKind>> {
        let (inbound, connection) = (&self.inbound, &self.session.connection);
        let limits = &self.session.config.limits;
        let limits = HeadLimits { bytes: limits.header_bytes, fields: limits.header_count };
        loop {
            if !inbound.is_empty() {
                connection.received();
                if let Some(request) = inbound.take_head(&limits).map_err(refusal)? {
                    return Poll::Ready(Ok(Some(request)));
                }
            } else {
                inbound.settle();
                if connection.poll_draining(task) {
                    return Poll::Ready(Ok(None));
                }
            }
            match inbound.poll_fill(task) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    return connection.poll_timeout(task).map(|timeout| match timeout {
                        Timeout::Head if !inbound.is_empty() => Err(ErrorKind::HeadTimeout),
                        _ => Ok(None),
                    });
                }
            }
        }
    }

    /// Has the request answered. None when the client has gone.
    async fn respond(&self, mut request: codec::Request) -> Option<Response> {
        let session = &self.session;
        let body = match request.framing {
            codec::Framing::Length(0) => ClientBody::Empty,
            _ => ClientBody::Http1(self.inbound.clone()),
        };
        let Some(listener) = session.listener() else {
            return Some(Response::of(StatusCode::SERVICE_UNAVAILABLE));
        };
        let link = Http1Link { http1: self, version: request.head.version, queued: Cell::new(false) };
        // In a box: an idle connection has no room for it.
        let mut serving = Box::pin(proxy::serve(
            session.context.clone(),
            listener,
            session.client.clone(),
            &mut request.head,
            body,
            &link,
        ));
        poll_fn(|task| {
            if let Poll::Ready(response) = serving.as_mut().poll(task) {
                return Poll::Ready(Some(response));
            }
            if self.poll_interim(task).is_err() || self.poll_gone(link.queued.get(), task).is_ready() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }

    /// Ready when there is nobody left to answer.
    fn poll_gone(&self, queued: bool, task: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(Err(_)) = self.inbound.poll_watch(task) {
            return Poll::Ready(());
        }
        // One that has ended its side may still read, which is found out with the answer.
        if self.inbound.has_ended() && queued {
            return Poll::Ready(());
        }
        self.session.connection.poll_timeout(task).map(drop)
    }

    /// Sends an answer.
    async fn send(&self, asked: Asked, response: Response) -> Next {
        let Response { head, mut body } = response;
        // An endpoint that answers early may still be sent the rest.
        let is_read = Rc::strong_count(&self.inbound) > 1;
        let received = if is_read { self.inbound.body_ended() } else { self.inbound.discard_body() };
        let framing = match body.remaining() {
            _ if body.is_tunnel() => EncodedFraming::Close,
            Some(0) => EncodedFraming::None,
            Some(length) => EncodedFraming::Length(length),
            None if asked.version == Version::HTTP_11 => EncodedFraming::Chunked,
            None => EncodedFraming::Close,
        };
        let keeps =
            asked.keeps && received && framing != EncodedFraming::Close && !self.session.connection.is_draining();
        let buffers = &self.session.context.buffers;
        let mut out = buffers.for_writing();
        out.append(&mut self.interim.borrow_mut());
        write_response(&head, asked.version, framing, keeps, &mut out);
        let mut encoder = BodyEncoder::new(out, framing);
        let sent = poll_fn(|task| self.poll_send(&mut encoder, &mut body, task)).await;
        buffers.done_writing(encoder.into_buffer());
        match sent {
            Ok(()) if keeps => Next::Request,
            Ok(()) if received && self.inbound.is_empty() => Next::End,
            Ok(()) => Next::Linger,
            Err(()) => {
                if framing == EncodedFraming::Close {
                    self.inbound.stream().abort_on_close();
                }
                Next::End
            }
        }
    }

    /// Fails when the client has gone or the body has broken off; either way nothing more can be sent.
    fn poll_send(
        &self,
        encoder: &mut BodyEncoder,
        body: &mut ResponseBody,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        let connection = &self.session.connection;
        loop {
            let gathered = gather(encoder, body, task).map_err(drop)?;
            let written = poll_write_all(encoder, &mut false, &mut *self.inbound.stream(), task);
            match written {
                Poll::Ready(Ok(())) => connection.written(),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
                Poll::Pending => {
                    connection.write_stalled();
                    return connection.poll_timeout(task).map(|_| Err(()));
                }
            }
            if encoder.is_ended() {
                return Poll::Ready(Ok(()));
            }
            if gathered.is_pending() {
                // The endpoint is waited for; its client may go away meanwhile.
                return match self.inbound.poll_watch(task) {
                    Poll::Ready(Err(_)) => Poll::Ready(Err(())),
                    _ => Poll::Pending,
                };
            }
        }
    }

    /// Answers what is no request, and ends.
    async fn refuse(&self, kind: ErrorKind) -> Next {
        let session = &self.session;
        let Some(listener) = session.listener() else { return Next::End };
        let response = {
            let seen = self.inbound.unused();
            proxy::refuse(&session.context, listener, session.client.clone(), kind, Unread::Http1(&seen))
        };
        session.connection.request_began();
        self.send(Asked { version: Version::HTTP_11, keeps: false }, response).await;
        Next::Linger
    }
}

/// Takes of the body what there is now; pending when there may be more later.
fn gather(encoder: &mut BodyEncoder, body: &mut ResponseBody, task: &mut Context<'_>) -> Poll<Result<(), Error>> {
    while !encoder.is_ended() && encoder.has_room() {
        let added = match ready!(body.poll_frame(task)).transpose()? {
            None => encoder.end(None),
            Some(Frame::Data(data)) => encoder.add(data),
            Some(Frame::Trailers(trailers)) => encoder.end(Some(&trailers)),
        };
        added.map_err(|error| Error::new(ErrorKind::UpstreamProtocol, error))?;
        // The end is known with the last piece, mostly, and then goes out with it.
        if !encoder.is_ended() && body.is_ended() {
            encoder.end(None).map_err(|error| Error::new(ErrorKind::UpstreamProtocol, error))?;
        }
    }
    Poll::Ready(Ok(()))
}

/// Why bytes are no request.
fn refusal(error: codec::Error) -> ErrorKind {
    match error {
        codec::Error::Malformed(how) => ErrorKind::BadRequest(how),
        codec::Error::Truncated => ErrorKind::ClientAbort,
        codec::Error::TargetTooLong => ErrorKind::TargetTooLong,
        codec::Error::HeadTooLarge | codec::Error::TooManyFields => ErrorKind::HeadTooLarge,
        codec::Error::UnknownVersion => ErrorKind::UnknownVersion,
        codec::Error::UnknownCoding => ErrorKind::UnknownCoding,
    }
}

/// What a request says to its client before its answer.
struct Http1Link<'a> {
    http1: &'a Http1,
    version: Version,
    queued: Cell<bool>,
}

impl Link for Http1Link<'_> {
    fn informational(&self, head: ResponseHead) {
        // Clients of HTTP/1.0 know no answers in advance.
        if self.version == Version::HTTP_11 {
            self.http1.push_interim(&head);
        }
    }

    fn queued(&self, queued: bool) {
        self.queued.set(queued);
    }

    fn tunnel(&self) -> Option<ClientBody> {
        let inbound = &self.http1.inbound;
        inbound.begin_tunnel();
        Some(ClientBody::Http1(inbound.clone()))
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.http1.inbound.stream().local_address().ok()
    }

    fn handshake(&self) -> Option<&Arc<Completion>> {
        self.http1.session.completion.as_ref()
    }
}

impl Http1 {
    fn push_interim(&self, head: &ResponseHead) {
        let mut interim = self.interim.borrow_mut();
        let before = interim.len();
        write_response(head, Version::HTTP_11, EncodedFraming::None, true, &mut interim);
        if interim.len() > INTERIM_BYTES {
            interim.truncate(before);
        }
    }

    /// Sends what waits to be sent in front of the answer, as far as the client takes it.
    fn poll_interim(&self, task: &mut Context<'_>) -> io::Result<()> {
        if self.inbound.take_continue(task) {
            self.push_interim(&ResponseHead::of(StatusCode::CONTINUE));
        }
        let mut interim = self.interim.borrow_mut();
        let connection = &self.session.connection;
        while !interim.is_empty() {
            match Pin::new(&mut *self.inbound.stream()).poll_write(task, &interim) {
                Poll::Ready(written) => {
                    interim.drain(..written?);
                    connection.written();
                }
                Poll::Pending => {
                    connection.write_stalled();
                    break;
                }
            }
        }
        Ok(())
    }
}
