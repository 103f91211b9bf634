use std::time::Duration;

use plimsoll_proxy_protocol::{Tlvs, Version};
use plimsoll_resilience::{Policy, Terms};

use super::endpoint::{Discover, Endpoint, UpstreamProtocol};
use super::health::Health;
use super::plugin::PluginUse;
use super::tls::UpstreamTls;

#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub name: String,
    pub protocol: UpstreamProtocol,
    /// None: in the clear.
    pub tls: Option<UpstreamTls>,
    /// How endpoints are told whom a connection is for.
    pub proxy_protocol: Option<SendProxyProtocol>,
    /// Endpoints see the client's own address.
    pub transparent: bool,
    pub balancer: PluginUse,
    /// The outermost first.
    pub partitioners: Vec<PluginUse>,
    pub affinity: Option<PluginUse>,
    pub hash_on: Vec<HashKey>,
    pub health: Health,
    pub slow_start: Option<SlowStart>,
    /// How long what is under way at an endpoint may go on once it has left service; none is without end.
    pub deregistration_delay: Option<Duration>,
    pub max_attempts: usize,
    pub retries: Retries,
    pub load_reports: bool,
    pub queue: Queue,
    pub timeouts: ClusterTimeouts,
    pub limits: ClusterLimits,
    pub pool: Pool,
    pub endpoints: Vec<Endpoint>,
    /// Under way at all endpoints together; 0 is no bound.
    pub max_requests: u32,
    /// How the bound of what is under way is found by how long answers take, if it is.
    pub adaptive_concurrency: Option<Terms>,
    /// For endpoints that do not say it themselves; 0 is no bound.
    pub max_connections: u32,
    pub discover: Vec<Discover>,
}

impl Cluster {
    /// What it has that nothing in a datagram could stand for.
    pub fn not_over_udp(&self) -> Option<&'static str> {
        match self.proxy_protocol {
            _ if self.tls.is_some() => Some("`tls`"),
            Some(told) if told.version == Version::V1 => Some("`proxy_protocol` of version 1"),
            _ => None,
        }
    }
}

/// How endpoints are told whom a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendProxyProtocol {
    pub version: Version,
    pub tlvs: Tlvs,
}

/// Bytes of a body that keys and policies may ask for.
pub const MOST_BODY_PREFIX: u32 = 65_536;

/// Something of a request that a cluster hashes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(String),
    Cookie(String),
    QueryParameter(String),
    /// Of the token in a header.
    Claim {
        header: String,
        name: String,
    },
    /// So many bytes at the beginning of the body.
    BodyPrefix(u32),
    SourceAddress,
    SourceNetwork(NetworkPrefixes),
    Path,
    PathPart(PathPart),
    Query,
    Authority,
    ServerName,
    /// By its name.
    RdpCookie(String),
}

/// How many bits of an address tell its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPrefixes {
    pub ipv4: u8,
    pub ipv6: u8,
}

/// The beginning of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathPart {
    /// Segments; none for all.
    pub depth: Option<usize>,
    /// Bytes; none for all.
    pub length: Option<usize>,
    /// Whether the query goes on where the path ends.
    pub query: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SlowStart {
    pub duration: Duration,
    /// Above 0.
    pub aggression: f64,
    /// Up to 100.
    pub min_weight_percent: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    pub policy: Policy,
    /// Of a body, kept until the answer begins.
    pub body_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// On all workers.
    pub max_requests: u32,
    pub timeout: Duration,
}

/// None is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterTimeouts {
    pub connect: Option<Duration>,
    pub send: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub body_idle: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterLimits {
    pub header_bytes: usize,
    pub header_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub idle_connections: usize,
    pub idle_timeout: Duration,
}
