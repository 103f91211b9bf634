use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

use super::dial::{PoolSettings, connect};
use super::http1::Connection;
use crate::error::Error;
use crate::timer::Timers;

/// A worker's idle connections to one address. The one used last is used next, so that spare ones grow old and go.
#[derive(Debug)]
pub(super) struct ExclusivePool {
    address: SocketAddr,
    settings: PoolSettings,
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl ExclusivePool {
    pub(super) fn new(address: SocketAddr, settings: PoolSettings) -> Self {
        Self { address, settings, idle: RefCell::default() }
    }

    /// An idle connection that the endpoint has not closed, as far as is known.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find_map(|mut idle| idle.connection.is_idle().then_some(idle.connection))
    }

    /// Keeps a connection for further requests.
    pub(super) fn put(&self, connection: Box<Connection>, since: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.settings.idle_connections {
            idle.push(Idle { connection, since });
        }
    }

    /// Makes a new connection.
    pub(super) async fn connect(&self, timers: &Timers) -> Result<Box<Connection>, Error> {
        let stream = connect(self.address, self.settings.connect_timeout, timers).await?;
        Ok(Box::new(Connection::new(stream, self.settings.head_limits)))
    }

    /// Closes connections that have been idle for too long, or that the endpoint has closed.
    pub(super) fn sweep(&self, now: Instant) {
        let timeout = self.settings.idle_timeout;
        self.idle.borrow_mut().retain_mut(|idle| now.duration_since(idle.since) < timeout && idle.connection.is_idle());
    }
}
