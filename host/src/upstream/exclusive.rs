use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll_http1::HeadLimits;

use super::dial::{Dialer, Introduction, PoolSettings};
use super::http1::Connection;
use crate::error::Error;
use crate::io::Stream;
use crate::timer::Timers;
use crate::tls::Carries;

/// A worker's idle connections to one address. The one used last is used next, so that spare ones grow old and go.
#[derive(Debug)]
pub(super) struct ExclusivePool {
    dialer: Rc<Dialer>,
    idle_connections: usize,
    idle_timeout: Duration,
    head_limits: HeadLimits,
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl ExclusivePool {
    pub(super) fn new(dialer: Rc<Dialer>, settings: &PoolSettings) -> Self {
        Self {
            dialer,
            idle_connections: settings.idle_connections,
            idle_timeout: settings.idle_timeout,
            head_limits: settings.head_limits,
            idle: RefCell::default(),
        }
    }

    /// An idle connection that the endpoint has not closed, as far as is known.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find_map(|mut idle| idle.connection.is_idle().then_some(idle.connection))
    }

    /// Keeps a connection for further requests.
    pub(super) fn put(&self, connection: Box<Connection>, since: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_connections {
            idle.push(Idle { connection, since });
        }
    }

    /// Makes a new connection.
    pub(super) async fn connect(&self, introduction: &Introduction, timers: &Timers) -> Result<Box<Connection>, Error> {
        self.dialer.connect(Carries::Http, introduction, timers).await.map(|stream| self.begin(stream))
    }

    /// A connection that has been made.
    pub(super) fn begin(&self, stream: Stream) -> Box<Connection> {
        Box::new(Connection::new(stream, self.head_limits))
    }

    /// Closes connections that have been idle for too long, or that the endpoint has closed.
    pub(super) fn sweep(&self, now: Instant) {
        let timeout = self.idle_timeout;
        self.idle.borrow_mut().retain_mut(|idle| now.duration_since(idle.since) < timeout && idle.connection.is_idle());
    }
}
