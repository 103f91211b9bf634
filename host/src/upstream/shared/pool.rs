use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::carrier::{Carrier, Opened, Opener};
use crate::error::{Error, ErrorKind};
use crate::timer::Timers;
use crate::upstream::dial::PoolSettings;

/// A worker's connections to one address that carry many requests each. Those in front are filled first, so that spare ones
/// get idle and go.
#[derive(Debug)]
pub(in crate::upstream) struct Pool<O: Opener> {
    opener: O,
    idle_connections: usize,
    idle_timeout: Duration,
    connect_timeout: Option<Duration>,
    connections: RefCell<Vec<Rc<O::Connection>>>,
    /// Attempts that wait for a place; there are no more of them than attempts. While somebody waits, a connection is
    /// being made.
    waiting: RefCell<VecDeque<Waiting<O>>>,
    opening: Cell<usize>,
    /// Requests that a new connection will carry at a time, going by the last one.
    expected: Cell<usize>,
}

/// What came of wanting a place.
#[derive(Debug)]
pub(in crate::upstream) enum Place<O: Opener> {
    On(Lease<O>),
    /// The endpoint speaks something else; with what can be used of the attempt, for the first who waited.
    Other(Option<O::Other>),
}

/// Tells somebody who waits for a place.
type Waiting<O> = oneshot::Sender<Result<Place<O>, NotConnected>>;

/// Why there is no connection. It is told to all that wait.
type NotConnected = (ErrorKind, Rc<str>);

impl<O: Opener> Pool<O> {
    pub(in crate::upstream) fn new(opener: O, settings: &PoolSettings) -> Rc<Self> {
        Rc::new(Self {
            opener,
            idle_connections: settings.idle_connections,
            idle_timeout: settings.idle_timeout,
            connect_timeout: settings.connect_timeout,
            connections: RefCell::default(),
            waiting: RefCell::default(),
            opening: Cell::new(0),
            expected: Cell::new(usize::MAX),
        })
    }

    pub(in crate::upstream) fn opener(&self) -> &O {
        &self.opener
    }

    /// A place on a connection that is there, unless others wait for one.
    pub(in crate::upstream) fn take(self: &Rc<Self>) -> Option<Lease<O>> {
        let nobody_waits = self.waiting.borrow().iter().all(oneshot::Sender::is_closed);
        nobody_waits.then(|| self.place()).flatten()
    }

    /// A place on the next connection that has one; as many are made as it takes.
    pub(in crate::upstream) async fn wait(self: &Rc<Self>, timers: &Timers) -> Result<Place<O>, Error> {
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

    pub(in crate::upstream) fn place(self: &Rc<Self>) -> Option<Lease<O>> {
        let connections = self.connections.borrow();
        let mut usable = connections.iter().filter(|connection| connection.is_usable());
        let (connection, stream) = usable.find_map(|connection| Some((connection, connection.stream()?)))?;
        Some(Lease::new(connection.clone(), stream, self.clone()))
    }

    fn open_enough(self: &Rc<Self>, timers: &Timers) {
        self.waiting.borrow_mut().retain(|waiting| !waiting.is_closed());
        let wanted = self.waiting.borrow().len().div_ceil(self.expected.get());
        while self.opening.get() < wanted {
            self.open_one(timers);
        }
    }

    /// Makes a connection beside those that are there, whether or not anybody waits.
    pub(in crate::upstream) fn open_one(self: &Rc<Self>, timers: &Timers) {
        self.opening.set(self.opening.get() + 1);
        let (pool, timers) = (self.clone(), timers.clone());
        tokio::task::spawn_local(async move { pool.open(&timers).await });
    }

    /// Makes a connection. It is nobody's own, and does not end with the request that wanted it.
    async fn open(self: Rc<Self>, timers: &Timers) {
        let opened = timers.bound(self.connect_timeout, self.opener.open(timers, self.when_changed())).await;
        self.opening.set(self.opening.get() - 1);
        match opened.unwrap_or_else(|_elapsed| Err(ErrorKind::ConnectTimeout.into())) {
            Ok(Opened::Connection(connection)) => self.add(connection, timers),
            Ok(Opened::Other(mut other)) => {
                for waiting in std::mem::take(&mut *self.waiting.borrow_mut()) {
                    // Whoever has gone leaves it to the next.
                    if let Err(Ok(Place::Other(left))) = waiting.send(Ok(Place::Other(other.take()))) {
                        other = left;
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

    /// What a connection calls when there may be room on it that was not there, and at its end.
    pub(in crate::upstream) fn when_changed(self: &Rc<Self>) -> impl Fn() + use<O> {
        let pool = Rc::downgrade(self);
        move || {
            if let Some(pool) = pool.upgrade() {
                pool.changed();
            }
        }
    }

    /// Takes a connection that has been made.
    pub(in crate::upstream) fn add(self: &Rc<Self>, connection: Rc<O::Connection>, timers: &Timers) {
        self.connections.borrow_mut().push(connection.clone());
        self.serve_waiting();
        self.expected.set(connection.limit().max(1));
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
            let is_idle = connection.places().is_idle();
            idle += usize::from(is_idle);
            connection.is_usable() && (!is_idle || idle <= self.idle_connections)
        });
    }

    /// Closes connections that have been idle for too long.
    pub(in crate::upstream) fn sweep(&self, now: Instant) {
        let timeout = self.idle_timeout;
        self.connections.borrow_mut().retain(|connection| {
            connection.places().idle_since().is_none_or(|since| now.duration_since(since) < timeout)
        });
    }
}

/// A request's place on a connection; given back when dropped.
#[derive(Debug)]
pub(in crate::upstream) struct Lease<O: Opener> {
    connection: Rc<O::Connection>,
    pool: Rc<Pool<O>>,
    /// None once the request has it.
    stream: Option<<O::Connection as Carrier>::Stream>,
    reused: bool,
}

impl<O: Opener> Lease<O> {
    fn new(connection: Rc<O::Connection>, stream: <O::Connection as Carrier>::Stream, pool: Rc<Pool<O>>) -> Self {
        let reused = connection.places().enter();
        Self { connection, pool, stream: Some(stream), reused }
    }

    /// Whether others have used the connection before.
    pub(in crate::upstream) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(in crate::upstream) fn connection(&self) -> &Rc<O::Connection> {
        &self.connection
    }

    /// What the request is sent on. None once it was taken.
    pub(in crate::upstream) fn stream(&mut self) -> Option<<O::Connection as Carrier>::Stream> {
        self.stream.take()
    }

    /// Nothing new is to begin on this connection.
    pub(in crate::upstream) fn retire(&self) {
        self.connection.places().retire();
        self.pool.changed();
    }
}

impl<O: Opener> Drop for Lease<O> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.connection.give_back(stream);
        }
        self.connection.places().leave();
        self.pool.changed();
    }
}
