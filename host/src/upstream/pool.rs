use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::http1::Connection;
use crate::error::{Error, ErrorKind};
use crate::timer::Timers;

/// Bounds of a [`Pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Idle connections kept by this worker to one endpoint; the next one is closed.
    pub idle_connections: usize,
    /// How long a connection is kept without use.
    pub idle_timeout: Duration,
    pub connect_timeout: Option<Duration>,
}

/// A worker's idle connections to one address. The one used last is used next, so that spare ones grow old and go.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    settings: PoolSettings,
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    pub fn new(address: SocketAddr, settings: PoolSettings) -> Self {
        Self { address, settings, idle: RefCell::default() }
    }

    /// True when connections kept under these terms can be kept under the new ones.
    pub fn serves(&self, address: SocketAddr, settings: &PoolSettings) -> bool {
        self.address == address && self.settings == *settings
    }

    /// An idle connection that the endpoint has not closed, as far as is known.
    pub fn take(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).map(|idle| idle.connection).find(|connection| connection.is_idle())
    }

    /// Keeps a connection for further requests.
    pub fn put(&self, connection: Box<Connection>, since: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.settings.idle_connections {
            idle.push(Idle { connection, since });
        }
    }

    /// Makes a new connection.
    pub async fn connect(&self, timers: &Timers) -> Result<Box<Connection>, Error> {
        let stream = connect(self.address, self.settings.connect_timeout, timers).await?;
        Ok(Box::new(Connection::new(stream)))
    }

    /// Closes connections that have been idle for too long, or that the endpoint has closed.
    pub fn sweep(&self, now: Instant) {
        let timeout = self.settings.idle_timeout;
        self.idle.borrow_mut().retain(|idle| now.duration_since(idle.since) < timeout && idle.connection.is_idle());
    }
}

/// Connects to an endpoint.
pub async fn connect(address: SocketAddr, timeout: Option<Duration>, timers: &Timers) -> Result<TcpStream, Error> {
    let connected: io::Result<TcpStream> = timers
        .bound(timeout, TcpStream::connect(address))
        .await
        .map_err(|_elapsed| Error::from(ErrorKind::ConnectTimeout))?;
    let stream = connected.map_err(|error| Error::new(ErrorKind::ConnectFailure, error))?;
    // Small writes are whole messages here; waiting for more only adds latency.
    stream.set_nodelay(true).map_err(|error| Error::new(ErrorKind::ConnectFailure, error))?;
    Ok(stream)
}
