//! HTTP/2 with a client: a task drives the connection, and one of its own answers each request.

mod request;
mod sending;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::Version;
use plimsoll_http2::{Code, Event, Limits, Server};
use tokio::io::AsyncWrite;

use super::connection::Timeout;
use super::linger;
use super::session::Session;
use crate::error::ErrorKind;
use crate::io::{ReadBuffer, Stream};
use crate::telemetry::BadRequest;
use crate::timer::Timer;

/// What a client may send of a body before it was taken, in bytes: of one stream, and of all together.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What of answers may wait for the client, in bytes.
const UNSENT: usize = 64 * 1024;
/// With so many bytes unsent, nothing more is read: what comes may ask for more to be sent.
const MOST_UNSENT: usize = 4 * UNSENT;
/// How far a head may be beyond its limit, in bytes, and still be answered with 431.
const OVERSIZE: usize = 64 * 1024;
/// How long a client has to hear that the connection ends.
const GOODBYE: Duration = Duration::from_secs(2);
/// For a read, in bytes: two frames with data. What waits to be taken keeps the whole of it.
const MOST_ROOM: usize = 32 * 1024;

/// Serves a connection until either side is done with it. `read` was read from the stream before.
pub(super) async fn serve(session: Session, stream: Stream, read: BytesMut) {
    let limits = &session.config.limits;
    let server = Server::new(Limits {
        header_bytes: limits.header_bytes,
        block_bytes: limits.header_bytes.saturating_add(OVERSIZE),
        concurrent_streams: limits.concurrent_streams,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        unsent_bytes: UNSENT,
        extended_connect: session.config.upgrades.allow("websocket"),
    });
    let head_timer = session.context.timers.timer();
    let local_address = stream.local_address().ok();
    let session = Rc::new(session);
    let read = ReadBuffer::new(read, MOST_ROOM);
    let mut driver = Driver { session, server, stream, read, head_timer, local_address, ending: None };
    let end = poll_fn(|task| driver.poll(task)).await;
    let Driver { server, mut stream, session, .. } = driver;
    drop(server);
    if end == End::Ours {
        linger::close(&mut stream, &session.context.timers).await;
    }
}

/// Who has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client: it has gone, or does nothing.
    Client,
    /// We have, and it has been told: it may still be sending.
    Ours,
}

/// What runs a connection beside its requests.
struct Driver {
    session: Rc<Session>,
    server: Server,
    stream: Stream,
    /// What was read and is not a whole frame yet.
    read: ReadBuffer,
    /// Armed while a head has begun and is not whole.
    head_timer: Timer,
    local_address: Option<SocketAddr>,
    /// The client has been told that nothing new is taken; set while nothing is under way either.
    ending: Option<Timer>,
}

impl Driver {
    /// Ready when the connection is over.
    fn poll(&mut self, task: &mut Context<'_>) -> Poll<End> {
        let connection = self.session.connection.clone();
        self.server.attend(task);
        loop {
            if self.ending.is_none() && connection.poll_draining(task) {
                self.end();
            }
            if let Poll::Ready(end) = self.poll_exchange(task) {
                return Poll::Ready(end);
            }
            if connection.is_abused() {
                self.session.refuse_abuse();
                return self.abort(Code::ENHANCE_YOUR_CALM, task);
            }
            if self.head_timer.poll_fired(task).is_ready() {
                if let Some(listener) = self.session.slot.current() {
                    listener.shard.bad_request(BadRequest::Timeout);
                }
                return self.abort(Code::ENHANCE_YOUR_CALM, task);
            }
            if let Some(goodbye) = &self.ending
                && connection.is_quiet()
            {
                goodbye.arm_if_idle(GOODBYE);
                if goodbye.poll_fired(task).is_ready() {
                    return Poll::Ready(End::Ours);
                }
            }
            match ready!(connection.poll_timeout(task)) {
                // Once more from the beginning, since what it says is sent there.
                Timeout::Idle if self.ending.is_none() => self.end(),
                Timeout::Idle => return Poll::Pending,
                Timeout::Head | Timeout::Write => return Poll::Ready(End::Client),
            }
        }
    }

    /// Reads and writes as far as either goes. Ready when the connection is over.
    fn poll_exchange(&mut self, task: &mut Context<'_>) -> Poll<End> {
        loop {
            let read = self.poll_read(task);
            if let Err(code) = read {
                return self.abort(code, task);
            }
            let had_room = self.server.unsent() < MOST_UNSENT;
            let written = self.poll_write(task);
            if matches!(read, Ok(Poll::Ready(()))) || matches!(written, Poll::Ready(Err(_))) {
                return Poll::Ready(End::Client);
            }
            if self.server.is_over() && self.server.unsent() == 0 {
                return Poll::Ready(End::Ours);
            }
            if had_room || written.is_pending() {
                self.rest();
                return Poll::Pending;
            }
        }
    }

    /// Reads what there is and begins what it asks for; ready when the client has gone. What it fails with ends the connection.
    fn poll_read(&mut self, task: &mut Context<'_>) -> Result<Poll<()>, Code> {
        loop {
            while self.server.unsent() < MOST_UNSENT {
                match self.server.receive(&mut self.read)? {
                    Some(Event::Begun) => self.session.connection.idle(),
                    Some(Event::Request(request)) => request::begin(&self.session, self.local_address, request),
                    Some(Event::Malformed(how)) => {
                        self.session.connection.gave_up_at_once();
                        self.session.refuse_stream(ErrorKind::BadRequest(how.as_str()), Version::HTTP_2);
                        if self.session.connection.is_abused() {
                            // The connection ends: what comes behind it is of no interest.
                            return Ok(Poll::Pending);
                        }
                    }
                    None => break,
                }
            }
            match self.session.connection.patience().head {
                Some(patience) if self.server.is_in_head(&self.read) => self.head_timer.arm_if_idle(patience),
                _ => self.head_timer.disarm(),
            }
            if self.server.unsent() >= MOST_UNSENT {
                return Ok(Poll::Pending);
            }
            match self.read.poll_fill_lent(&mut self.stream, &self.session.context.buffers, task) {
                Poll::Ready(Ok(0) | Err(_)) => return Ok(Poll::Ready(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    /// Writes what there is.
    fn poll_write(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = &self.session.connection;
        while self.server.unsent() > 0 {
            let stream = Pin::new(&mut self.stream);
            let written = self.server.send(|pieces| {
                // One piece needs no list of pieces.
                let written = match pieces {
                    [piece] => stream.poll_write(task, piece),
                    pieces => stream.poll_write_vectored(task, pieces),
                };
                let count = if let Poll::Ready(Ok(count)) = written { count } else { 0 };
                (count, written)
            });
            if written.is_pending() {
                connection.write_stalled();
            } else {
                connection.written();
            }
            if ready!(written)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        // What is encrypted may still be on its way to the socket.
        Pin::new(&mut self.stream).poll_flush(task)
    }

    /// Gives back what a wait of unknown length does not need.
    fn rest(&mut self) {
        self.read.give_back(&self.session.context.buffers);
        if self.session.connection.is_quiet() {
            self.server.rest();
        }
    }

    /// Tells the client that nothing new is taken; what is under way goes on.
    fn end(&mut self) {
        self.ending = Some(self.session.context.timers.timer());
        self.server.leave();
    }

    fn abort(&mut self, code: Code, task: &mut Context<'_>) -> Poll<End> {
        self.server.abort(code);
        // As far as the client takes it at once.
        let _ = self.poll_write(task);
        Poll::Ready(End::Ours)
    }
}
