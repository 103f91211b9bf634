use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::request_body::RequestBody;
use crate::error::{Error, ErrorKind};
use crate::net::Stream;
use crate::timer::Timers;

/// A connection on which one request at a time can be sent.
pub type Sender = http1::SendRequest<RequestBody>;

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

struct Idle {
    sender: Sender,
    since: Instant,
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "idle since {:?}", self.since)
    }
}

impl Pool {
    pub fn new(address: SocketAddr, settings: PoolSettings) -> Self {
        Self { address, settings, idle: RefCell::default() }
    }

    /// True when connections kept under these terms can be kept under the new ones.
    pub fn serves(&self, address: SocketAddr, settings: &PoolSettings) -> bool {
        self.address == address && self.settings == *settings
    }

    /// An idle connection that is ready to send.
    pub fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { sender, .. }) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read to the end. It may need a moment until it can send again.
    pub fn put(self: &Rc<Self>, mut sender: Sender, now: Instant) {
        if sender.is_closed() {
            return;
        }
        if sender.is_ready() {
            self.keep(sender, now);
            return;
        }
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            if sender.ready().await.is_ok() {
                pool.keep(sender, now);
            }
        });
    }

    /// Makes a new connection.
    pub async fn connect(&self, timers: &Timers) -> Result<Sender, Error> {
        let stream = connect(self.address, self.settings.connect_timeout, timers).await?;
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(Stream(stream)))
            .await
            .map_err(|error| Error::new(ErrorKind::ConnectFailure, error))?;
        tokio::task::spawn_local(async move {
            // Whatever ends the connection reaches the request that was on it; an idle one just goes.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Closes connections that have been idle for too long, or that the endpoint has closed.
    pub fn sweep(&self, now: Instant) {
        let timeout = self.settings.idle_timeout;
        self.idle.borrow_mut().retain(|idle| !idle.sender.is_closed() && now.duration_since(idle.since) < timeout);
    }

    fn keep(&self, sender: Sender, since: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.settings.idle_connections {
            idle.push(Idle { sender, since });
        }
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
