//! What a configuration means: addresses parsed, references resolved, bounds held. Only `check` makes these.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use plimsoll_proxy_protocol::{Tlvs, Version};

use super::address::Address;
use super::network::Networks;
use super::socket::{SocketKey, Transport};
use super::source::Source;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub workers: usize,
    /// None: one that lasts as long as the process.
    pub secret: Option<Vec<u8>>,
    /// None: no admin API.
    pub admin: Option<Admin>,
    pub access_log: AccessLog,
    pub shutdown_grace: Duration,
    pub resolver: Resolver,
    pub plugins: Vec<Plugin>,
    /// Of all tables of plugins.
    pub plugin_table_bytes: usize,
    /// Where uploaded plugins are kept.
    pub plugins_dir: StatePath,
    /// Where endpoints are kept that the admin API has added or removed.
    pub endpoints_file: StatePath,
    /// Where certificates are kept that were uploaded or ordered.
    pub certificates_dir: StatePath,
    /// From whom certificates are ordered.
    pub acme: Option<Acme>,
    pub listeners: Vec<Listener>,
    pub clusters: Vec<Cluster>,
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub bind: AdminBind,
    pub token: Option<String>,
    /// Names by which it may be asked while there is no token, besides those of loopback.
    pub hosts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminBind {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    pub format: AccessLogFormat,
    pub output: LogOutput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    Off,
    Json,
    Combined,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    Stdout,
    File(PathBuf),
}

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Empty: those of the system.
    pub servers: Vec<SocketAddr>,
    pub min_ttl: Duration,
    /// Not below `min_ttl`.
    pub max_ttl: Duration,
    pub timeout: Duration,
}

/// A plugin from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    pub name: String,
    pub path: PathBuf,
    pub grants: Vec<&'static str>,
    pub memory_bytes: usize,
    pub conformance: Conformance,
}

/// What a plugin is held against before it is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Conformance {
    // What must hold for every plugin of its roles; it takes about a second. No documentation: it would make a type of each.
    #[default]
    Quick,
    // Everything that `plimsoll plugin test --profile full` does. It takes some seconds.
    Full,
    Off,
}

impl Conformance {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
            Self::Off => "off",
        }
    }
}

/// Where something is kept that has to outlive the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StatePath {
    /// Beside the configuration file.
    #[default]
    Beside,
    At(PathBuf),
    Off,
}

impl StatePath {
    /// The path, and whether the operator has asked for it. Beside the configuration's `file` it is the same with another
    /// `ending`.
    pub fn of(&self, file: Option<&Path>, ending: &str) -> Option<(PathBuf, bool)> {
        match self {
            Self::Beside => file.map(|file| (file.with_extension(ending), false)),
            Self::At(path) => Some((path.clone(), true)),
            Self::Off => None,
        }
    }
}

/// A plugin with its configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginUse {
    pub plugin: String,
    pub config: serde_json::Value,
    /// JSON Pointer to `config` in the source, for mistakes that the plugin finds.
    pub pointer: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    pub name: String,
    pub bind: SocketAddr,
    pub protocol: Protocol,
    pub destination: Destination,
    pub tls: Option<Tls>,
    /// How proxies in front of us say whom they connect for.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Whether and how it speaks HTTP/3; only with TLS.
    pub http3: Option<Http3>,
    /// Where clients are led that ask in the clear.
    pub redirect_https: Option<RedirectHttps>,
    /// Whose forwarding headers are believed. None: nobody's, and none was named.
    pub trusted: Option<Networks>,
    pub forwarded: Forwarded,
    pub underscores: Underscores,
    pub upgrades: Upgrades,
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

/// How a listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
    /// Those that are ordered.
    pub acme: Vec<AcmeNames>,
    /// Whether it has those that were uploaded, too.
    pub uploaded: bool,
    pub policy: TlsPolicy,
    /// What Strict-Transport-Security says.
    pub hsts: Option<HeaderValue>,
    /// None: it is all ours.
    pub passthrough: Option<Passthrough>,
    /// None: clients are not asked for one.
    pub client_certificates: Option<ClientCertificates>,
    /// JSON Pointer to it in the source.
    pub pointer: String,
}

/// From whom certificates are ordered (RFC 8555), which the operator has agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// URL, `https`.
    pub directory: String,
    pub email: Option<String>,
    /// What its own server is verified by, in PEM. None: what the system trusts.
    pub ca: Option<String>,
    /// The preferred first.
    pub challenges: Vec<Challenge>,
    pub external_account: Option<ExternalAccount>,
}

/// How an authority knows whose account it is (RFC 8555 section 7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    pub key_id: String,
    pub hmac_key: Vec<u8>,
}

/// Without the key.
impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// How a name is proven to be one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// RFC 8555 section 8.3.
    Http01,
    /// RFC 8737.
    TlsAlpn01,
}

impl Challenge {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// The names of a certificate that is ordered: in lower case, each once, the first one the one that it is called by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AcmeNames(pub Vec<String>);

/// Separated by commas.
impl fmt::Display for AcmeNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// What clients are told of HTTP/3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http3 {
    /// None: that of the listener.
    pub advertised_port: Option<u16>,
    pub max_age: Duration,
}

impl Http3 {
    /// What `Alt-Svc` says of it (RFC 7838 section 3) on a listener with this port.
    pub fn alternative(&self, port: u16) -> Option<HeaderValue> {
        let (port, seconds) = (self.advertised_port.unwrap_or(port), self.max_age.as_secs());
        let alternative = (seconds > 0).then(|| format!("h3=\":{port}\"; ma={seconds}"))?;
        HeaderValue::try_from(alternative).ok()
    }
}

/// Clusters by the names whose TLS is passed through to them: in lower case, wildcards with their `*.`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passthrough(pub(super) BTreeMap<String, String>);

impl Passthrough {
    /// The cluster for a name that a client asks for.
    pub fn cluster(&self, name: &str) -> Option<&str> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = || self.0.get(&format!("*.{}", name.split_once('.')?.1));
        self.0.get(&name).or_else(wildcard).map(String::as_str)
    }
}

/// Where clients are led that ask in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectHttps {
    pub port: u16,
    /// None: as the method needs it.
    pub status: Option<StatusCode>,
}

/// Whose certificates clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whoever has none is refused.
    pub required: bool,
    /// The certificates that are trusted, in PEM.
    pub ca: String,
    /// Lists of what is revoked, in PEM.
    pub crl: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// TLS 1.2 and 1.3.
    Intermediate,
    /// TLS 1.3.
    Modern,
}

/// A certificate with its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub chain: String,
    pub key: String,
}

/// Without the key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub ocsp_file: Option<PathBuf>,
    /// JSON Pointer to it in the source.
    pub pointer: String,
}

impl Certificate {
    /// Whether it is of the same files, wherever in the configuration each is.
    pub fn is_same(&self, other: &Self) -> bool {
        let files = |of: &Self| (of.cert_file.clone(), of.key_file.clone(), of.ocsp_file.clone());
        files(self) == files(other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Tcp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// What is spoken to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// What the handshake of TLS comes to (ALPN); only with TLS.
    Auto,
    Http1,
    /// In the clear with prior knowledge.
    Http2,
}

/// How TLS is spoken to endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The certificates that are trusted, in PEM. None: those of the system.
    pub ca: Option<String>,
    /// Lists of what is revoked, in PEM.
    pub crl: Option<String>,
    /// In the place of the host of each endpoint.
    pub server_name: Option<String>,
    /// What endpoints get to see that ask for one.
    pub certificate: Option<KeyPair>,
    /// Whether the endpoints' certificates are verified.
    pub verifies: bool,
    pub policy: TlsPolicy,
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
    pub fn socket(&self) -> SocketKey {
        let listener = (self.bind.port() == 0).then(|| self.name.clone());
        SocketKey { transport: Transport::Tcp, address: self.bind, listener }
    }

    /// That of QUIC, where it speaks HTTP/3.
    pub fn quic_socket(&self) -> Option<SocketKey> {
        self.http3.as_ref().map(|_| SocketKey { transport: Transport::Udp, ..self.socket() })
    }

    /// All of them.
    pub fn sockets(&self) -> impl Iterator<Item = SocketKey> {
        std::iter::once(self.socket()).chain(self.quic_socket())
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

#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub name: String,
    pub protocol: UpstreamProtocol,
    /// None: in the clear.
    pub tls: Option<UpstreamTls>,
    /// How endpoints are told whom a connection is for.
    pub proxy_protocol: Option<SendProxyProtocol>,
    pub balancer: PluginUse,
    /// The outermost first.
    pub partitioners: Vec<PluginUse>,
    pub affinity: Option<PluginUse>,
    pub hash_on: Vec<HashKey>,
    pub health: Health,
    pub slow_start: Option<SlowStart>,
    pub max_attempts: usize,
    pub load_reports: bool,
    pub queue: Queue,
    pub timeouts: ClusterTimeouts,
    pub limits: ClusterLimits,
    pub pool: Pool,
    pub endpoints: Vec<Endpoint>,
    /// For endpoints that do not say it themselves; 0 is no bound.
    pub max_connections: u32,
    pub discover: Vec<Discover>,
}

/// How endpoints are told whom a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendProxyProtocol {
    pub version: Version,
    pub tlvs: Tlvs,
}

/// Somewhere that endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Discover {
    /// SRV records of this name.
    Srv(String),
    File(PathBuf),
}

/// Something of a request that a cluster hashes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(String),
    Cookie(String),
    QueryParameter(String),
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
pub struct Queue {
    /// On each worker.
    pub max_requests: usize,
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub evaluator: PluginUse,
    pub probe: Option<Probe>,
    pub max_ejected_percent: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub plugin: PluginUse,
    /// In the place of the endpoint's own.
    pub port: Option<u16>,
    /// What probers of HTTP speak.
    pub protocol: UpstreamProtocol,
    /// Whether they speak TLS as the cluster does.
    pub tls: bool,
    /// The version of the PROXY protocol in which they say that they are our own.
    pub proxy_protocol: Option<Version>,
    pub interval: Duration,
    pub timeout: Duration,
}

impl Probe {
    /// Whether it is the same check, wherever in the file each is.
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |probe: &Self| (probe.plugin.plugin.clone(), probe.plugin.config.clone());
        let how = |probe: &Self| (probe.port, probe.protocol, probe.tls, probe.proxy_protocol);
        let when = |probe: &Self| (probe.interval, probe.timeout);
        of(self) == of(other) && how(self) == how(other) && when(self) == when(other)
    }
}

/// None is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterTimeouts {
    pub connect: Option<Duration>,
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub id: String,
    pub address: Address,
    pub weight: u32,
    pub priority: u32,
    /// 0 is no bound.
    pub max_connections: u32,
    pub zone: String,
    pub metadata: BTreeMap<String, String>,
}

impl Endpoint {
    /// With nothing else said about it.
    pub fn at(address: Address) -> Self {
        Self {
            id: address.to_string(),
            address,
            weight: 1,
            priority: 0,
            max_connections: 0,
            zone: String::new(),
            metadata: BTreeMap::new(),
        }
    }
}

/// An endpoint that was given outside of the configuration, in the same form.
#[derive(Clone, Debug)]
pub struct GivenEndpoint {
    pub(super) endpoint: Endpoint,
    /// It says itself how many attempts may be under way.
    pub(super) has_own_bound: bool,
    /// As it was given.
    pub(super) given: serde_json::Value,
}

impl GivenEndpoint {
    pub fn id(&self) -> &str {
        &self.endpoint.id
    }

    /// What it is in a cluster that allows so many attempts at each endpoint.
    pub fn in_cluster(&self, max_connections: u32) -> Endpoint {
        let mut endpoint = self.endpoint.clone();
        if !self.has_own_bound {
            endpoint.max_connections = max_connections;
        }
        endpoint
    }

    /// As it was given: an address, or a mapping with one.
    pub fn given(&self) -> &serde_json::Value {
        &self.given
    }
}

impl fmt::Display for Discover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Srv(name) => write!(f, "srv {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}
