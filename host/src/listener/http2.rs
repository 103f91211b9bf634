//! HTTP/2 with a client: a task drives the connection, and one of its own answers each request.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{DATE, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{Request, Response, StatusCode, Version, response};
use http_body::Body;
use plimsoll_http2::Guard;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Timeout;
use super::session::Session;
use crate::downstream::{ClientBody, Http2Body};
use crate::error::ErrorKind;
use crate::io::{Completion, Prefixed, Stream};
use crate::proxy::{self, Link, ResponseBody};
use crate::telemetry::BadRequest;
use crate::timer::Timer;

/// What a client may send of a body before it was taken: of one stream, and of all together.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What of an answer may wait for the client, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How far a head may be beyond its limit, in bytes, and still be answered with 431.
const OVERSIZE: usize = 64 * 1024;
/// How long a client has to hear that the connection ends.
const GOODBYE: Duration = Duration::from_secs(2);

type Server = h2::server::Connection<Watched, Bytes>;

/// Serves a connection until either side is done with it.
pub(super) async fn serve(session: Session, stream: Prefixed<Stream>) {
    let session = Rc::new(session);
    let local_address = stream.get_ref().local_address().ok();
    let head_timer = Rc::new(session.context.timers.timer());
    let limits = &session.config.limits;
    let watched = Watched {
        stream,
        session: session.clone(),
        guard: Guard::new(limits.header_bytes.saturating_add(OVERSIZE)),
        head_timer: head_timer.clone(),
    };
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    if session.config.upgrades.allow("websocket") {
        builder.enable_connect_protocol();
    }
    let connection = session.connection.clone();
    let server = {
        let mut handshake = std::pin::pin!(builder.handshake(watched));
        poll_fn(|task| match handshake.as_mut().poll(task) {
            Poll::Ready(server) => Poll::Ready(server.ok()),
            Poll::Pending => connection.poll_timeout(task).map(|_| None),
        })
        .await
    };
    let Some(mut server) = server else { return };
    connection.idle();
    let mut driver = Driver { session, head_timer, local_address, ending: None };
    poll_fn(|task| driver.poll(&mut server, task)).await;
}

/// What runs a connection beside its requests.
struct Driver {
    session: Rc<Session>,
    head_timer: Rc<Timer>,
    local_address: Option<SocketAddr>,
    /// The client has been told that nothing new is taken; set while nothing is under way either.
    ending: Option<Timer>,
}

impl Driver {
    fn poll(&mut self, server: &mut Server, task: &mut Context<'_>) -> Poll<()> {
        let connection = self.session.connection.clone();
        loop {
            if self.ending.is_none() && connection.poll_draining(task) {
                self.end(server);
            }
            match server.poll_accept(task) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let answering = answer(self.session.clone(), self.local_address, request, respond);
                    // It ends by itself.
                    drop(tokio::task::spawn_local(answering));
                    continue;
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if connection.is_abused() {
                self.session.refuse_abuse();
                return self.give_up(server, Reason::ENHANCE_YOUR_CALM, task);
            }
            if self.head_timer.poll_fired(task).is_ready() {
                if let Some(listener) = self.session.slot.current() {
                    listener.shard.bad_request(BadRequest::Timeout);
                }
                return self.give_up(server, Reason::ENHANCE_YOUR_CALM, task);
            }
            if let Some(goodbye) = &self.ending
                && connection.is_quiet()
            {
                goodbye.arm_if_idle(GOODBYE);
                if goodbye.poll_fired(task).is_ready() {
                    return Poll::Ready(());
                }
            }
            match ready!(connection.poll_timeout(task)) {
                // Once more from the beginning, since what it says is sent there.
                Timeout::Idle if self.ending.is_none() => self.end(server),
                Timeout::Idle => return Poll::Pending,
                Timeout::Head | Timeout::Write => return Poll::Ready(()),
            }
        }
    }

    /// Tells the client that nothing new is taken, by GOAWAY; what is under way goes on.
    fn end(&mut self, server: &mut Server) {
        self.ending = Some(self.session.context.timers.timer());
        server.graceful_shutdown();
    }

    fn give_up(&self, server: &mut Server, reason: Reason, task: &mut Context<'_>) -> Poll<()> {
        server.abrupt_shutdown(reason);
        // As far as the client takes it at once.
        let _ = server.poll_closed(task);
        Poll::Ready(())
    }
}

/// Answers one request.
async fn answer(
    session: Rc<Session>,
    local_address: Option<SocketAddr>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let under_way = session.connection.begin_request();
    let completion = session.completion.clone();
    let link = Http2Link { respond: RefCell::new(respond), tunnel: RefCell::default(), local_address, completion };
    let response = respond_to(&session, request, &link).await;
    if let Some(response) = response {
        let patience = session.connection.patience().write;
        let mut sending = Sending { timer: session.context.timers.timer(), patience };
        sending.send(link.respond.into_inner(), response).await;
    } else {
        session.connection.gave_up();
    }
    drop(under_way);
}

/// Has the request answered. None when its client has given it up.
async fn respond_to(
    session: &Session,
    request: Request<RecvStream>,
    link: &Http2Link,
) -> Option<Response<ResponseBody>> {
    let Some(listener) = session.listener() else {
        let mut response = Response::new(ResponseBody::default());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Some(response);
    };
    let (mut head, stream) = request.into_parts();
    let mut body = if stream.is_end_stream() {
        ClientBody::Empty
    } else {
        ClientBody::Http2(Box::new(Http2Body::new(stream, &head.headers)))
    };
    if head.extensions.get::<Protocol>().is_some() {
        // What comes is not the request's, but of the protocol that it asks for (RFC 8441 section 5).
        link.tunnel.replace(Some(std::mem::replace(&mut body, ClientBody::Empty)));
    }
    let mut serving =
        std::pin::pin!(proxy::serve(session.context.clone(), listener, session.client.clone(), &mut head, body, link));
    poll_fn(|task| {
        if let Poll::Ready(response) = serving.as_mut().poll(task) {
            return Poll::Ready(Some(response));
        }
        // Ready when the client has reset the stream, or the connection is gone.
        link.respond.borrow_mut().poll_reset(task).map(|_| None)
    })
    .await
}

/// Sends an answer at the pace of its client.
struct Sending {
    timer: Timer,
    patience: Option<Duration>,
}

impl Sending {
    async fn send(&mut self, mut respond: SendResponse<Bytes>, response: Response<ResponseBody>) {
        let (mut head, mut body) = response.into_parts();
        // The reason phrase of HTTP/1.1 has no place here, and protocols are not asked for in a field.
        head.extensions.clear();
        head.headers.remove(UPGRADE);
        if body.is_tunnel() {
            // RFC 8441 section 5: the key of HTTP/1.1 has proven that the endpoint means it; here the status is enough.
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        }
        // Every second has another one: in the table of the encoder all of them would be looked through for each answer, so it is sent as
        // what is not to be kept there.
        if let Some(date) = head.headers.get_mut(DATE) {
            date.set_sensitive(true);
        }
        let ends = body.is_end_stream();
        // The client has gone if it fails, here and below.
        let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), ends) else { return };
        if ends {
            return;
        }
        if let Err(reason) = self.send_body(&mut stream, &mut body).await {
            stream.send_reset(reason);
        }
    }

    async fn send_body(&mut self, stream: &mut SendStream<Bytes>, body: &mut ResponseBody) -> Result<(), Reason> {
        loop {
            let frame = poll_fn(|task| {
                if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(task) {
                    return Poll::Ready(Ok(frame));
                }
                stream.poll_reset(task).map(|_| Err(Reason::CANCEL))
            });
            match frame.await? {
                None => return stream.send_data(Bytes::new(), true).map_err(|_| Reason::CANCEL),
                // An answer that breaks off must not look whole (RFC 9113 section 8.1).
                Some(Err(_)) => return Err(Reason::INTERNAL_ERROR),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let ends = body.is_end_stream();
                        self.send_data(stream, data, ends).await?;
                        if ends {
                            return Ok(());
                        }
                    }
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        return stream.send_trailers(trailers).map_err(|_| Reason::CANCEL);
                    }
                },
            }
        }
    }

    /// Sends a piece when the client has room for any of it. One that makes none for too long is let go: it would hold what
    /// the answer holds.
    async fn send_data(&self, stream: &mut SendStream<Bytes>, data: Bytes, ends: bool) -> Result<(), Reason> {
        if !data.is_empty() {
            stream.reserve_capacity(data.len());
            if stream.capacity() == 0 {
                let room = poll_fn(|task| {
                    if let Poll::Ready(room) = stream.poll_capacity(task) {
                        return Poll::Ready(matches!(room, Some(Ok(1..))));
                    }
                    stream.poll_reset(task).map(|_| false)
                });
                match self.patience {
                    Some(patience) => self.timer.arm(patience),
                    None => self.timer.disarm(),
                }
                let room = self.timer.bound(room).await;
                self.timer.disarm();
                if room != Ok(true) {
                    return Err(Reason::CANCEL);
                }
            }
        }
        stream.send_data(data, ends).map_err(|_| Reason::CANCEL)
    }
}

/// What a request says to its client before its answer.
struct Http2Link {
    respond: RefCell<SendResponse<Bytes>>,
    /// What comes in the protocol that the request asks for.
    tunnel: RefCell<Option<ClientBody>>,
    local_address: Option<SocketAddr>,
    completion: Option<Arc<Completion>>,
}

impl Link for Http2Link {
    fn informational(&self, mut head: response::Parts) {
        head.extensions.clear();
        // Whoever has gone needs none.
        let _ = self.respond.borrow_mut().send_informational(Response::from_parts(head, ()));
    }

    fn queued(&self, _queued: bool) {
        // A client that goes resets its stream.
    }

    fn tunnel(&self) -> Option<ClientBody> {
        self.tunnel.take()
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    fn handshake(&self) -> Option<&Arc<Completion>> {
        self.completion.as_ref()
    }
}

/// A client's stream that tells its connection what passes, and lets no malformed request end it.
struct Watched {
    stream: Prefixed<Stream>,
    session: Rc<Session>,
    guard: Guard,
    /// Armed while a head has begun and is not whole.
    head_timer: Rc<Timer>,
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = this.guard.poll_read(&mut this.stream, task, buffer);
        this.note_heads();
        read
    }
}

impl Watched {
    /// Takes note of what the guard has seen of heads.
    fn note_heads(&mut self) {
        match self.session.connection.patience().head {
            Some(patience) if self.guard.is_in_head() => self.head_timer.arm_if_idle(patience),
            _ => self.head_timer.disarm(),
        }
        for malformed in self.guard.take_malformed() {
            self.session.refuse_stream(ErrorKind::BadRequest(malformed.as_str()), Version::HTTP_2);
        }
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.session.connection.write_stalled(),
            Poll::Ready(_) => self.session.connection.written(),
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(task, bytes);
        this.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(task, slices);
        this.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(task)
    }
}
