use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use plimsoll_http1::HeadLimits;
use tokio::sync::oneshot;

use super::connection::Connection;
use crate::error::{Error, ErrorKind};
use crate::io::Stream;
use crate::timer::Timers;
use crate::tls::Carries;
use crate::upstream::dial::{Dialer, PoolSettings};

/// A worker's connections to one address that carry many requests each. Those in front are filled first, so that spare ones
/// get idle and go.
#[derive(Debug)]
pub(in crate::upstream) struct Pool {
    dialer: Rc<Dialer>,
    idle_connections: usize,
    idle_timeout: Duration,
    connect_timeout: Option<Duration>,
    head_limits: HeadLimits,
    connections: RefCell<Vec<Rc<Connection>>>,
    /// Attempts that wait for a place; there are no more of them than attempts. While somebody waits, a connection is
    /// being made.
    waiting: RefCell<VecDeque<oneshot::Sender<Result<Place, NotConnected>>>>,
    opening: Cell<usize>,
    /// Requests that a new connection will carry at a time, going by the last one.
    expected: Cell<usize>,
}

/// What came of wanting a place.
#[derive(Debug)]
pub(in crate::upstream) enum Place {
    On(Lease),
    /// The endpoint speaks HTTP/1.1, by its handshake; with the connection that told, for the first who waited.
    Http1(Option<Box<Stream>>),
}

/// Why there is no connection. It is told to all that wait.
type NotConnected = (ErrorKind, Rc<str>);

impl Pool {
    pub(in crate::upstream) fn new(dialer: Rc<Dialer>, settings: &PoolSettings) -> Rc<Self> {
        Rc::new(Self {
            dialer,
            idle_connections: settings.idle_connections,
            idle_timeout: settings.idle_timeout,
            connect_timeout: settings.connect_timeout,
            head_limits: settings.head_limits,
            connections: RefCell::default(),
            waiting: RefCell::default(),
            opening: Cell::new(0),
            expected: Cell::new(usize::MAX),
        })
    }

    /// A place on a connection that is there, unless others wait for one.
    pub(in crate::upstream) fn take(self: &Rc<Self>) -> Option<Lease> {
        let nobody_waits = self.waiting.borrow().iter().all(oneshot::Sender::is_closed);
        nobody_waits.then(|| self.place()).flatten()
    }

    /// A place on the next connection that has one; as many are made as it takes.
    pub(in crate::upstream) async fn wait(self: &Rc<Self>, timers: &Timers) -> Result<Place, Error> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back(sender);
        self.open_enough(timers);
        match timers.bound(self.connect_timeout, receiver).await {
            Ok(Ok(Ok(place))) => Ok(place),
            Ok(Ok(Err((kind, cause)))) => Err(Error::new(kind, &*cause)),
            // The worker ends.
            Ok(Err(_)) => Err(ErrorKind::ConnectFailure.into()),
            Err(_elapsed) => Err(ErrorKind::ConnectTimeout.into()),
        }
    }

    pub(in crate::upstream) fn place(self: &Rc<Self>) -> Option<Lease> {
        let connections = self.connections.borrow();
        let connection = connections.iter().find(|connection| connection.has_room())?.clone();
        Some(Lease::new(connection, self.clone()))
    }

    fn open_enough(self: &Rc<Self>, timers: &Timers) {
        self.waiting.borrow_mut().retain(|waiting| !waiting.is_closed());
        let wanted = self.waiting.borrow().len().div_ceil(self.expected.get());
        while self.opening.get() < wanted {
            self.opening.set(self.opening.get() + 1);
            let (pool, timers) = (self.clone(), timers.clone());
            tokio::task::spawn_local(async move { pool.open(&timers).await });
        }
    }

    /// Makes a connection. It is nobody's own, and does not end with the request that wanted it.
    async fn open(self: Rc<Self>, timers: &Timers) {
        let opening = async {
            let stream = self.dialer.dial(Carries::Http, b"").await?;
            if stream.is_encrypted() && !stream.speaks_http2() {
                return Ok(Opened::Http1(stream));
            }
            self.speak(stream).await.map(Opened::Http2)
        };
        let opened = timers.bound(self.connect_timeout, opening).await;
        self.opening.set(self.opening.get() - 1);
        match opened.unwrap_or_else(|_elapsed| Err(ErrorKind::ConnectTimeout.into())) {
            Ok(Opened::Http2(connection)) => self.opened(connection, timers),
            Ok(Opened::Http1(stream)) => {
                let mut stream = Some(Box::new(stream));
                for waiting in std::mem::take(&mut *self.waiting.borrow_mut()) {
                    // Whoever has gone leaves it to the next.
                    if let Err(Ok(Place::Http1(left))) = waiting.send(Ok(Place::Http1(stream.take()))) {
                        stream = left;
                    }
                }
            }
            // Another may still succeed.
            Err(_) if self.opening.get() > 0 => {}
            Err(error) => {
                let cause: Rc<str> = error.cause_text().into();
                for waiting in std::mem::take(&mut *self.waiting.borrow_mut()) {
                    // Who has gone need not know.
                    let _ = waiting.send(Err((error.kind, cause.clone())));
                }
            }
        }
    }

    /// Takes a connection on which HTTP/2 was agreed on.
    pub(in crate::upstream) async fn add(self: &Rc<Self>, stream: Stream, timers: &Timers) -> Result<(), Error> {
        let spoken = timers.bound(self.connect_timeout, self.speak(stream)).await;
        self.opened(spoken.unwrap_or_else(|_elapsed| Err(ErrorKind::ConnectTimeout.into()))?, timers);
        Ok(())
    }

    async fn speak(self: &Rc<Self>, stream: Stream) -> Result<Rc<Connection>, Error> {
        let pool = Rc::downgrade(self);
        Connection::open(stream, self.head_limits, move || {
            if let Some(pool) = pool.upgrade() {
                pool.changed();
            }
        })
        .await
    }

    fn opened(self: &Rc<Self>, connection: Rc<Connection>, timers: &Timers) {
        self.expected.set(connection.limit().max(1));
        self.connections.borrow_mut().push(connection);
        self.serve_waiting();
        self.open_enough(timers);
    }

    /// Gives places to those who wait, the first first.
    fn serve_waiting(self: &Rc<Self>) {
        loop {
            let next = {
                let mut waiting = self.waiting.borrow_mut();
                while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                    waiting.pop_front();
                }
                if waiting.is_empty() {
                    return;
                }
                let Some(lease) = self.place() else { return };
                waiting.pop_front().map(|sender| (sender, lease))
            };
            let Some((sender, lease)) = next else { return };
            // One that nobody takes gives itself back.
            let _ = sender.send(Ok(Place::On(lease)));
        }
    }

    /// There may be room where there was none, or a connection less.
    fn changed(self: &Rc<Self>) {
        self.serve_waiting();
        let mut idle = 0;
        // What is under way on a connection that nothing begins on any more keeps it until its end.
        self.connections.borrow_mut().retain(|connection| {
            idle += usize::from(connection.is_idle());
            connection.is_usable() && (!connection.is_idle() || idle <= self.idle_connections)
        });
    }

    /// Closes connections that have been idle for too long.
    pub(in crate::upstream) fn sweep(&self, now: Instant) {
        let timeout = self.idle_timeout;
        self.connections
            .borrow_mut()
            .retain(|connection| connection.idle_since().is_none_or(|since| now.duration_since(since) < timeout));
    }
}

/// A connection that was made, by what is spoken on it.
enum Opened {
    Http1(Stream),
    Http2(Rc<Connection>),
}

/// A request's place on a connection; given back when dropped.
#[derive(Debug)]
pub(in crate::upstream) struct Lease {
    connection: Rc<Connection>,
    pool: Rc<Pool>,
    reused: bool,
}

impl Lease {
    fn new(connection: Rc<Connection>, pool: Rc<Pool>) -> Self {
        let reused = connection.enter();
        Self { connection, pool, reused }
    }

    /// Whether others have used the connection before.
    pub(in crate::upstream) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(super) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.connection.sender.clone()
    }

    /// Nothing new is to begin on this connection.
    pub(in crate::upstream) fn retire(&self) {
        self.connection.retire();
        self.pool.changed();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.leave();
        self.pool.changed();
    }
}
