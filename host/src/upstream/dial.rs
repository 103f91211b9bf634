use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_http1::HeadLimits;
use tokio::net::TcpStream;

use crate::config::UpstreamProtocol;
use crate::error::{Error, ErrorKind};
use crate::io::Stream;
use crate::timer::Timers;

/// How a worker's connections to an endpoint are made and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    pub protocol: UpstreamProtocol,
    /// Idle connections kept by this worker to one endpoint; the next one is closed.
    pub idle_connections: usize,
    /// How long a connection is kept without use.
    pub idle_timeout: Duration,
    pub connect_timeout: Option<Duration>,
    /// Bounds of an answer's head.
    pub head_limits: HeadLimits,
}

/// Connects to an endpoint.
pub async fn connect(address: SocketAddr, timeout: Option<Duration>, timers: &Timers) -> Result<Stream, Error> {
    let connected: io::Result<TcpStream> = timers
        .bound(timeout, TcpStream::connect(address))
        .await
        .map_err(|_elapsed| Error::from(ErrorKind::ConnectTimeout))?;
    let stream = connected.map_err(|error| Error::new(ErrorKind::ConnectFailure, error))?;
    // Small writes are whole messages here; waiting for more only adds latency.
    stream.set_nodelay(true).map_err(|error| Error::new(ErrorKind::ConnectFailure, error))?;
    Ok(Stream::Tcp(stream))
}
