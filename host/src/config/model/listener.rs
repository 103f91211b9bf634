use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::plugin::PluginUse;
use super::tls::Tls;
use crate::config::network::Networks;
use crate::config::socket::{SocketKey, Transport};

#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    pub name: String,
    /// At least one, each with sockets of its own.
    pub bind: Vec<SocketAddr>,
    pub protocol: Protocol,
    pub destination: Destination,
    pub tls: Option<Tls>,
    /// How proxies in front of us say whom they connect for.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Whether and how it speaks HTTP/3; only with TLS.
    pub http3: Option<Http3>,
    /// Where sessions of UDP end.
    pub udp: Udp,
    /// Where clients are led that ask in the clear.
    pub redirect_https: Option<RedirectHttps>,
    /// Whose forwarding headers are believed. None: nobody's, and none was named.
    pub trusted: Option<Networks>,
    pub forwarded: Forwarded,
    pub underscores: Underscores,
    pub upgrades: Upgrades,
    /// The field by which clients say how long they wait, and endpoints are told what is left.
    pub deadline_header: Option<HeaderName>,
    pub timeouts: ListenerTimeouts,
    pub limits: ListenerLimits,
}

/// The protocols that a client may change to (RFC 9110 section 7.8), in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrades(pub Vec<String>);

impl Upgrades {
    pub fn allow(&self, protocol: &str) -> bool {
        self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(protocol))
    }
}

/// How proxies in front of us say whom they connect for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Who is believed.
    pub from: Networks,
    /// Whoever says nothing is refused, and so is everybody else.
    pub required: bool,
    pub timeout: Duration,
}

/// How HTTP/3 is spoken, and what clients are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http3 {
    /// None: that of the listener.
    pub advertised_port: Option<u16>,
    pub max_age: Duration,
    /// Writes connections down.
    pub qlog: Option<Qlog>,
}

/// Where connections are written down, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qlog {
    pub directory: PathBuf,
    pub files: usize,
    /// Of each file.
    pub bytes: u64,
    /// None: of all clients.
    pub from: Option<Networks>,
    /// Where it stands in the configuration.
    pub pointer: String,
}

impl Http3 {
    /// What `Alt-Svc` says of it (RFC 7838 section 3) on a listener with this port.
    pub fn alternative(&self, port: u16) -> Option<HeaderValue> {
        let (port, seconds) = (self.advertised_port.unwrap_or(port), self.max_age.as_secs());
        let alternative = (seconds > 0).then(|| format!("h3=\":{port}\"; ma={seconds}"))?;
        HeaderValue::try_from(alternative).ok()
    }
}

/// Where clients are led that ask in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectHttps {
    pub port: u16,
    /// None: as the method needs it.
    pub status: Option<StatusCode>,
}

/// Where sessions of UDP end, beside their silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// For each datagram of the client. None: any number.
    pub responses: Option<u32>,
    /// Of a client; those after these are another session's. None: any number.
    pub requests: Option<u32>,
    /// Larger datagrams are dropped.
    pub datagram_bytes: usize,
    /// They are QUIC, whose connections are known by their ids.
    pub quic: Option<Quic>,
}

/// How connections of QUIC are known that are carried as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quic {
    /// None: by their whole ids.
    pub server_id: Option<ServerId>,
}

/// The bytes of a connection's id that say which endpoint it is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerId {
    pub offset: usize,
    /// At least one.
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Tcp,
    Udp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    Append,
    Replace,
    Off,
}

/// What becomes of fields of requests with an underscore in their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    #[default]
    Drop,
    Pass,
    /// The request gets 400.
    Reject,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// Name of a cluster that exists.
    Cluster(String),
    Router(PluginUse),
    /// Requests are only redirected.
    Nowhere,
}

impl Listener {
    /// That at one of its addresses.
    pub fn socket(&self, address: SocketAddr) -> SocketKey {
        let listener = (address.port() == 0).then(|| self.name.clone());
        let transport = if self.protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
        SocketKey { transport, address, listener }
    }

    /// That of QUIC beside it, where it speaks HTTP/3.
    pub fn quic_socket(&self, address: SocketAddr) -> Option<SocketKey> {
        self.http3.as_ref().map(|_| SocketKey { transport: Transport::Quic, ..self.socket(address) })
    }

    /// All of them.
    pub fn sockets(&self) -> impl Iterator<Item = SocketKey> {
        self.bind.iter().flat_map(|address| std::iter::once(self.socket(*address)).chain(self.quic_socket(*address)))
    }
}

/// None is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTimeouts {
    pub tls_handshake: Option<Duration>,
    pub client_header: Option<Duration>,
    pub keep_alive: Option<Duration>,
    pub request: Option<Duration>,
    pub body_idle: Option<Duration>,
    pub idle: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    pub connections: usize,
    /// Of these from one source.
    pub connections_per_source: Option<u32>,
    pub header_count: usize,
    pub header_bytes: usize,
    pub body_bytes: Option<u64>,
    pub concurrent_streams: u32,
}
