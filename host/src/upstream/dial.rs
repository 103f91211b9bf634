use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_http1::HeadLimits;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::config::UpstreamProtocol;
use crate::error::{Error, ErrorKind};
use crate::io::Stream;
use crate::net::{DatagramSocket, bind_transparent};
use crate::snapshot::{Detour, Endpoint, EndpointCounters, Trouble};
use crate::telemetry::{ClusterShard, TlsHandshake};
use crate::timer::{Timers, now_ms};
use crate::tls::{Carries, EndpointTls, NoQuic, UpstreamTls, is_resumed};

/// How a worker's connections to an endpoint are made and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    pub protocol: UpstreamProtocol,
    pub tls: Option<UpstreamTls>,
    /// Idle connections kept by this worker to one endpoint; the next one is closed.
    pub idle_connections: usize,
    /// How long a connection is kept without use.
    pub idle_timeout: Duration,
    pub connect_timeout: Option<Duration>,
    /// Bounds of an answer's head.
    pub head_limits: HeadLimits,
}

/// How an endpoint learns whom a connection is for.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The address that it comes from: the client's own.
    pub source: Option<IpAddr>,
    /// What goes before all else: a header of the PROXY protocol.
    pub header: Vec<u8>,
}

impl Introduction {
    /// Of a connection that may be for anyone.
    pub const NONE: Self = Self { source: None, header: Vec::new() };
}

/// Makes connections to an endpoint.
#[derive(Debug)]
pub struct Dialer {
    address: SocketAddr,
    timeout: Option<Duration>,
    tls: Option<EndpointTls>,
    shard: Arc<ClusterShard>,
    counters: Arc<EndpointCounters>,
}

impl Dialer {
    pub(super) fn new(endpoint: &Endpoint, settings: &PoolSettings, shard: Arc<ClusterShard>) -> Self {
        let tls = settings.tls.as_ref().map(|tls| tls.towards(&endpoint.host, settings.protocol));
        let (address, counters) = (endpoint.address, endpoint.counters.clone());
        Self { address, timeout: settings.connect_timeout, tls, shard, counters }
    }

    /// Connects, with TLS where it is spoken.
    pub async fn connect(
        &self,
        carries: Carries,
        introduction: &Introduction,
        timers: &Timers,
    ) -> Result<Stream, Error> {
        let connected = timers.bound(self.timeout, self.dial(carries, introduction)).await;
        connected.unwrap_or_else(|_elapsed| Err(ErrorKind::ConnectTimeout.into()))
    }

    /// The same, for as long as the caller waits.
    pub(super) async fn dial(&self, carries: Carries, introduction: &Introduction) -> Result<Stream, Error> {
        let dialed = self.try_dial(carries, introduction).await;
        match &dialed {
            Ok(_) => self.note_connected(),
            Err(error) => self.note_trouble(error),
        }
        dialed
    }

    /// Connects by QUIC, for so long at the most. None when the endpoint is to be spoken to over TCP for a while instead, since
    /// nothing comes back.
    pub(super) async fn dial_quic(
        &self,
        patience: Duration,
        timers: &Timers,
    ) -> Result<Option<quinn::Connection>, Error> {
        let Some(tls) = &self.tls else { return Err(Error::new(ErrorKind::TlsFailure, "QUIC takes `tls`")) };
        let mut counted = Counted { shard: &self.shard, result: TlsHandshake::Timeout };
        let connected = timers.bound(Some(patience), tls.connect_quic(self.address)).await;
        let refused = match connected {
            Ok(Ok(quic)) => {
                // Whether an earlier session went on stays with the library.
                counted.result = TlsHandshake::Full;
                self.note_connected();
                if self.detour().end() {
                    tracing::info!(endpoint = %self.address, "HTTP/3 comes through again");
                }
                return Ok(Some(quic));
            }
            Ok(Err(refused)) => {
                counted.result = TlsHandshake::Failed;
                refused
            }
            Err(_elapsed) => NoQuic::Unreachable(format!("no handshake within {patience:?}")),
        };
        let cause = match refused {
            NoQuic::Unreachable(cause) => Ok(cause),
            NoQuic::Tls(cause) => Err(Error::new(ErrorKind::TlsFailure, cause)),
            NoQuic::Socket(error) => Err(not_connected(error)),
        };
        let cause = cause.inspect_err(|error| self.note_trouble(error))?;
        if let Some(length) = self.detour().begin(now_ms()) {
            self.shard.http3_fell_back();
            tracing::warn!(endpoint = %self.address, "HTTP/3 does not come through, HTTP/2 for {length:?}: {cause}");
        }
        Ok(None)
    }

    /// Whether HTTP/3 is left for HTTP/2.
    pub(super) fn detour(&self) -> &Detour {
        self.counters.detour()
    }

    /// A socket of UDP towards the endpoint, of the kind of `like`, from an address of its own or another one. With `many`, the system
    /// may hand over several datagrams as one.
    pub fn datagrams(&self, like: &DatagramSocket, from: Option<IpAddr>, many: bool) -> Result<DatagramSocket, Error> {
        like.towards(self.address, from, many).map_err(not_connected).inspect_err(|error| self.note_trouble(error))
    }

    /// Where it connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Notes why the endpoint could not be reached, if that was for want of it.
    pub fn note_trouble(&self, error: &Error) {
        if error.kind == ErrorKind::Exhausted {
            return;
        }
        let message = format!("{error}: {}", error.cause_text());
        self.counters.note_trouble(Trouble { message, at: Instant::now() });
    }

    /// Notes that it could.
    pub fn note_connected(&self) {
        self.counters.note_connected();
    }

    async fn try_dial(&self, carries: Carries, introduction: &Introduction) -> Result<Stream, Error> {
        let connecting = match introduction.source {
            None => TcpStream::connect(self.address).await,
            // In a box: it is rare.
            Some(source) => Box::pin(connect_from(source, self.address)).await,
        };
        let mut stream = connecting.map_err(not_connected)?;
        // Small writes are whole messages here; waiting for more only adds latency.
        stream.set_nodelay(true).map_err(not_connected)?;
        if !introduction.header.is_empty() {
            stream.write_all(&introduction.header).await.map_err(not_connected)?;
        }
        match &self.tls {
            None => Ok(Stream::Tcp(stream)),
            // In a box, so that connections in the clear keep no room for it.
            Some(tls) => Box::pin(self.shake_hands(tls, stream, carries)).await,
        }
    }

    async fn shake_hands(&self, tls: &EndpointTls, stream: TcpStream, carries: Carries) -> Result<Stream, Error> {
        // What holds when nobody waits any more.
        let mut counted = Counted { shard: &self.shard, result: TlsHandshake::Timeout };
        match tls.shake_hands(stream, carries).await {
            Ok(stream) => {
                counted.result = if is_resumed(&stream) { TlsHandshake::Resumed } else { TlsHandshake::Full };
                Ok(Stream::Tls(Box::new(stream.into())))
            }
            Err(cause) => {
                counted.result = TlsHandshake::Failed;
                tracing::debug!(endpoint = %self.address, "TLS handshake with the endpoint failed: {cause}");
                Err(Error::new(ErrorKind::TlsFailure, cause))
            }
        }
    }
}

/// From an address that need not be ours.
async fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    bind_transparent(&socket, source, address)?;
    socket.connect(address).await
}

/// No endpoint is to blame for what this process lacks, or may not do.
fn not_connected(error: io::Error) -> Error {
    let errno = error.raw_os_error();
    let is_ours = matches!(errno, Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EPERM));
    Error::new(if is_ours { ErrorKind::Exhausted } else { ErrorKind::ConnectFailure }, error)
}

/// A handshake, which is counted when this is dropped.
struct Counted<'a> {
    shard: &'a ClusterShard,
    result: TlsHandshake,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.shard.tls_handshake(self.result);
    }
}
