//! What users type. The comments here are the manual: they become the JSON Schema and docs/CONFIG.md.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::model::Conformance;
use super::quantity::{Size, SizeOrOff, Span, SpanOrOff};

/// The configuration of a proxy. YAML, or JSON, which is YAML.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Worker threads. Default: one for each processor core.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) workers: Option<u32>,
    /// What the keys for cookies and the like are derived from; at least 16 characters. Proxies with the same secret
    /// understand each other's cookies. Default: random at every start.
    #[schemars(length(min = 16))]
    pub(super) secret: Option<String>,
    /// A file that holds the secret.
    pub(super) secret_file: Option<String>,
    /// The admin API.
    #[serde(default)]
    pub(super) admin: Admin,
    /// A line for every request, and for every TCP connection.
    #[serde(default)]
    pub(super) access_log: AccessLog,
    /// How the proxy ends.
    #[serde(default)]
    pub(super) shutdown: Shutdown,
    /// How names of endpoints are looked up.
    #[serde(default)]
    pub(super) resolver: Resolver,
    /// Plugins beyond the built-in ones.
    #[serde(default)]
    pub(super) plugins: Vec<Plugin>,
    /// The directory that uploaded plugins are kept in, so that they are there after a restart; relative to this file. `off`
    /// keeps none. Default: beside this file, with its name and the ending `plugins`, as in `config.plugins`.
    pub(super) plugins_dir: Option<String>,
    /// What all plugins together may have the proxy remember (`host::table`); each has its own `limits.memory` besides. Who finds
    /// no room loses what it has used least recently. From 1MiB to 64GiB. Default: 256MiB.
    #[serde(default = "tables")]
    pub(super) plugin_tables: Size,
    /// The file that endpoints are kept in which the admin API has added or removed with `persist=true`, so that they are
    /// so after a restart; relative to this file. `off` keeps none. Default: beside this file, with its name and the ending
    /// `endpoints.json`, as in `config.endpoints.json`.
    pub(super) endpoints_file: Option<String>,
    /// Where clients connect.
    #[serde(default)]
    pub(super) listeners: Vec<Listener>,
    /// Where requests go.
    #[serde(default)]
    pub(super) clusters: Vec<Cluster>,
}

fn tables() -> Size {
    Size(256 << 20)
}

/// The admin API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    /// False turns it off. Default: true.
    pub(super) enabled: bool,
    /// `IP:PORT`, or `unix:` and a path. Default: 127.0.0.1:9900.
    pub(super) bind: String,
    /// What every request must carry as `Authorization: Bearer TOKEN`. Needed to listen beyond loopback.
    pub(super) token: Option<String>,
    /// A file that holds the token.
    pub(super) token_file: Option<String>,
    /// Names, without a port, by which it may be asked while there is no token, besides `localhost` and loopback addresses.
    /// Others are refused, so that no page in a browser can reach it by having its own name lead here.
    pub(super) hosts: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { enabled: true, bind: "127.0.0.1:9900".into(), token: None, token_file: None, hosts: Vec::new() }
    }
}

/// A line for every request, and for every TCP connection when it has ended. What went other than planned is told by a
/// flag: `NR` no route; `UH` no endpoint that may take it; `UO` every endpoint full; `UF` no connection to an endpoint;
/// `UT` the endpoint did not answer in time; `UC` it closed or reset the connection; `DC` the client went away; `RT`
/// the request took too long; `IT` a TCP connection was silent for too long; `BL` the body was too long; `BR` malformed
/// (over HTTP/2 the stream is reset, and the line says 400 without method and path); `DR` still open when the proxy had
/// to end; `IE` the proxy failed; `PF` a plugin failed and the host decided; `PR` a plugin answered. A line in JSON of
/// a request that came over TLS also has `tls_version`, `tls_cipher` and `server_name`. The line of a TCP connection
/// says `"protocol":"tcp"` (in `combined`, its request line begins with `TCP`), has no method, path or status, and
/// tells the server name that a TLS client asked for, the bytes from and to the client, how long it lasted, how long
/// connecting to the endpoint took, and by `end` why it ended: `client_closed` or `endpoint_closed` (who ended its side
/// first), `client_reset`, `endpoint_reset`, `idle_timeout`, `no_route`, `no_endpoint`, `overflow`, `connect_failure`,
/// `drain`, `internal`. `plimsoll_tcp_connections_total` counts by the same.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccessLog {
    /// `json`, `combined` or `off`. Default: off.
    pub(super) format: LogFormat,
    /// `stdout`, or the path of a file, which SIGUSR1 opens anew. Default: stdout.
    pub(super) output: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum LogFormat {
    Json,
    Combined,
    #[default]
    Off,
}

/// How the proxy ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Shutdown {
    /// How long requests under way may take after SIGTERM. Default: 30s.
    pub(super) grace: Span,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Span(Duration::from_secs(30)) }
    }
}

/// How names of endpoints are looked up: in `/etc/hosts`, then at name servers, for addresses of both families. They are
/// looked up again when the time that the answer says is over (its TTL). When that fails, what was known last still holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Resolver {
    /// `IP:PORT` of the name servers. Default: those of `/etc/resolv.conf`, with its search list, as it is at the start.
    pub(super) servers: Vec<String>,
    /// Answers are relied on for so long at the least; a failed lookup is tried again after it, then less and less often, up
    /// to 30 s. Default: 1s.
    pub(super) min_ttl: Span,
    /// And for so long at the most. Default: 5m.
    pub(super) max_ttl: Span,
    /// How long a server may take; each is asked twice. Default: 2s.
    pub(super) timeout: Span,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            min_ttl: Span(Duration::from_secs(1)),
            max_ttl: Span(Duration::from_secs(300)),
            timeout: Span(Duration::from_secs(2)),
        }
    }
}

/// A plugin from a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugin {
    /// What the configuration calls it. The name of a built-in plugin takes its place.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub(super) name: String,
    /// The component; relative to the configuration file.
    pub(super) path: String,
    /// What it may import: log, metrics, clock, random, counters, keys, table, shared-table, node, wasi. Default: all but wasi.
    pub(super) grants: Option<Vec<Grant>>,
    /// What it may use.
    #[serde(default)]
    pub(super) limits: PluginLimits,
    /// What it is held against before it is live, with the configurations that it is used with: `quick`, `full`, or `off` for
    /// nothing. Default: quick.
    #[serde(default)]
    pub(super) conformance: Conformance,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(super) enum Grant {
    Log,
    Metrics,
    Clock,
    Random,
    Counters,
    Keys,
    Table,
    SharedTable,
    Node,
    Wasi,
}

/// What a plugin may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PluginLimits {
    /// Memory of one instance; there is one on each worker. From 1MiB to 1GiB. Default: 64MiB.
    pub(super) memory: Size,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self { memory: Size(64 << 20) }
    }
}

/// A plugin with its configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginUse {
    /// Name of a built-in plugin, or of one under `plugins`.
    pub(super) plugin: String,
    /// What the plugin is configured with; see its README, or `GET /v1/plugins/{name}`.
    #[serde(default)]
    pub(super) config: Value,
}

/// Where clients connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    /// Shown in logs and metrics.
    pub(super) name: String,
    /// `IP:PORT`.
    pub(super) bind: String,
    /// `http` (HTTP/1.1 and, with prior knowledge, HTTP/2) or `tcp`. Default: http.
    #[serde(default)]
    pub(super) protocol: Protocol,
    /// The router that decides where requests go. Either this or `cluster`.
    pub(super) router: Option<PluginUse>,
    /// The cluster that everything goes to. Either this or `router`.
    pub(super) cluster: Option<String>,
    /// Speaks TLS to the clients of an `http` listener: HTTP/2 or HTTP/1.1, as they can (ALPN).
    pub(super) tls: Option<Tls>,
    /// Networks of the proxies in front of us (CIDR, or addresses alone), whose forwarding headers are believed; see below.
    /// Default: none.
    #[schemars(length(max = 1024))]
    pub(super) trusted: Option<Vec<String>>,
    /// `append` whoever connects to what a proxy in front of us says in forwarding headers, `replace` it by what we know, or
    /// leave these headers alone (`off`, and no Via either); see below. Default: append with `trusted`, else replace.
    pub(super) forwarded: Option<Forwarded>,
    /// What becomes of header fields with an underscore in their names, which applications that read fields as CGI
    /// variables take for others: `X_Forwarded_For` for `X-Forwarded-For`. `drop` the field, `pass` it, or `reject` the
    /// request with 400. Default: drop.
    #[serde(default)]
    pub(super) underscores: Underscores,
    /// How long clients are waited for.
    #[serde(default)]
    pub(super) timeouts: ListenerTimeouts,
    /// How much clients may ask for.
    #[serde(default)]
    pub(super) limits: ListenerLimits,
}

/// How a listener speaks TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// A client gets the one for the name that it asks for (SNI): the exact name, then the wildcard, then the first of the
    /// list. The files are read at every reload.
    #[schemars(length(min = 1, max = 1024))]
    pub(super) certificates: Vec<Certificate>,
    /// `intermediate` (TLS 1.2 and 1.3) or `modern` (TLS 1.3 alone), both with forward secrecy and authenticated encryption
    /// only. Policies of AWS for the same versions may be named in their place. Default: intermediate.
    #[serde(default)]
    pub(super) policy: TlsPolicy,
}

/// A certificate with its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// The certificate and those that lead from it to its root, in PEM.
    pub(super) cert_file: String,
    /// Its private key, in PEM.
    pub(super) key_file: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum TlsPolicy {
    #[default]
    #[serde(rename = "intermediate")]
    Intermediate,
    #[serde(rename = "modern")]
    Modern,
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-2-2021-06")]
    Elb12Of2021,
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06")]
    ElbRestricted12Of2021,
    #[serde(rename = "ELBSecurityPolicy-TLS13-1-3-2021-06")]
    Elb13Of2021,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Protocol {
    #[default]
    Http,
    Tcp,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum UpstreamProtocol {
    #[default]
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Forwarded {
    Append,
    Replace,
    Off,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Underscores {
    #[default]
    Drop,
    Pass,
    Reject,
}

/// How long clients are waited for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenerTimeouts {
    /// For a TLS handshake. Default: 10s.
    pub(super) tls_handshake: SpanOrOff,
    /// From the first byte of a request's head to its end. Default: 10s.
    pub(super) client_header: SpanOrOff,
    /// Between requests on one connection. Default: 75s.
    pub(super) keep_alive: SpanOrOff,
    /// The whole request, up to the head of the answer. Default: off.
    pub(super) request: SpanOrOff,
    /// For a client to take more of its answer. Default: 60s.
    pub(super) body_idle: SpanOrOff,
    /// TCP: without a byte in either direction. Default: 1h.
    pub(super) idle: SpanOrOff,
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        Self {
            tls_handshake: seconds(10),
            client_header: seconds(10),
            keep_alive: seconds(75),
            request: SpanOrOff(None),
            body_idle: seconds(60),
            idle: seconds(3600),
        }
    }
}

/// How much clients may ask for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenerLimits {
    /// Connections at the same time; the next one gets 503. Default: 16384.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) connections: u32,
    /// Header fields of a request. Default: 100.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) header_count: u32,
    /// Size of a request's head, from 8KiB to 1MiB. Default: 64KiB.
    pub(super) header_bytes: Size,
    /// Size of a request's body. Default: off.
    pub(super) body_bytes: SizeOrOff,
    /// Streams at the same time on one HTTP/2 connection. Default: 128.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) concurrent_streams: u32,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            header_count: 100,
            header_bytes: Size(64 << 10),
            body_bytes: SizeOrOff(None),
            concurrent_streams: 128,
        }
    }
}

/// A named group of endpoints, and how they are used.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    /// What routes call it.
    pub(super) name: String,
    /// What is spoken to the endpoints of HTTP listeners: `http1`, or `http2` in the clear with prior knowledge, as gRPC
    /// servers do without TLS. With `http2`, up to 128 requests of a worker share a connection, or as many as the endpoint
    /// allows (SETTINGS_MAX_CONCURRENT_STREAMS); the next one gets another connection. `max_connections` bounds the
    /// requests, not these connections, of which `pool` bounds the idle ones. Of an answer that its client does not take,
    /// an endpoint may send 256 KiB ahead (the window of a stream; the window of the connection is as large as may be, so
    /// that no client holds up another). Requests that the endpoint has not acted on (REFUSED_STREAM, above the last
    /// stream of a GOAWAY) are sent elsewhere. Default: http1.
    #[serde(default)]
    pub(super) protocol: UpstreamProtocol,
    /// The plugin that picks an endpoint. Default: least-request, which takes the better of two random ones.
    pub(super) balancer: Option<PluginUse>,
    /// Plugins that divide the endpoints into groups and choose one; the balancer picks inside it. The first of several
    /// divides the cluster, the next what the first made of it. Built in: priority, locality, subset. Default: none.
    #[serde(default)]
    #[schemars(length(max = 4))]
    pub(super) partitioners: Vec<PluginUse>,
    /// The plugin that binds clients to endpoints. Default: none.
    pub(super) affinity: Option<PluginUse>,
    /// What the key of hashing balancers is made of; the first that the request has and that is not empty. Without any,
    /// there is no key, and such balancers pick at random. Items: `source_address`, or just its network by
    /// `{ source_address: { ipv4_prefix: 24, ipv6_prefix: 64 } }` (default: all bits); `path`, or its beginning by
    /// `{ path: { depth: SEGMENTS, length: BYTES, query: true } }` (`query` goes on with the query where the path ends);
    /// `query`, `authority`, `server_name`, `{ header: NAME }`, `{ cookie: NAME }`, `{ query_parameter: NAME }`; for
    /// `tcp` listeners `rdp_cookie`, the `mstshash` of a Remote Desktop client, or `{ rdp_cookie: NAME }`.
    #[serde(default)]
    pub(super) hash_on: Vec<Value>,
    /// Which endpoints are healthy.
    #[serde(default)]
    pub(super) health: Health,
    /// Lets endpoints that come into service warm up. Default: none.
    pub(super) slow_start: Option<SlowStart>,
    /// Endpoints that a request is tried at, before it fails. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 16))]
    pub(super) max_attempts: u32,
    /// Endpoints say with their answers how loaded they are, by ORCA: `endpoint-load-metrics` (TEXT, JSON or BIN),
    /// `endpoint-load-metrics-json` or `endpoint-load-metrics-bin`. These fields are read for the balancers that go by
    /// them, and taken out of what the client gets. Default: false.
    #[serde(default)]
    pub(super) load_reports: bool,
    /// Attempts that may be under way at each endpoint, counted over all workers; 0 is no bound. Kept connections
    /// without a request do not count. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(super) max_connections: u32,
    /// Where requests wait while every endpoint is full, that is, has `max_connections` attempts under way.
    #[serde(default)]
    pub(super) queue: Queue,
    /// How long endpoints are waited for.
    #[serde(default)]
    pub(super) timeouts: ClusterTimeouts,
    /// How large the heads of answers may be; the client of one that is larger gets 502.
    #[serde(default)]
    pub(super) limits: ClusterLimits,
    /// Connections that are kept for further requests.
    #[serde(default)]
    pub(super) pool: Pool,
    /// `IP:PORT` or `HOST:PORT`, or with more about it. Needed unless there is `discover`.
    pub(super) endpoints: Option<Vec<Endpoint>>,
    /// Where further endpoints come from. Of two endpoints with one id, the first counts: those of `endpoints`, then those
    /// of these sources in their order.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(super) discover: Vec<Discover>,
}

/// Somewhere that endpoints come from. Just one of these:
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Discover {
    /// Name of a service, as in `_http._tcp.example.com`: its SRV records (RFC 2782) are endpoints with their weights (0 counts
    /// as 1), and their priorities are priority levels, in their order. They are looked up again as `resolver` says.
    pub(super) srv: Option<String>,
    /// Path of a file with a list `endpoints`, as in a cluster, YAML or JSON; relative to the configuration file. It is read
    /// again whenever it changes; one that cannot be used changes nothing.
    pub(super) file: Option<String>,
}

/// A file of endpoints.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointFile {
    /// As in a cluster.
    pub(super) endpoints: Vec<Endpoint>,
}

fn three() -> u32 {
    3
}

/// Lets endpoints that come into service warm up: their weight grows to its whole by
/// `weight * max(min_weight_percent / 100, (passed / duration) ^ (1 / aggression))`, in steps of at least a twentieth. It
/// begins when an endpoint that was added, or was unhealthy or disabled, takes requests. Endpoints that are there when
/// the cluster begins, and get healthy within `duration`, do not warm up: all are equally cold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SlowStart {
    /// How long it takes.
    pub(super) duration: Span,
    /// 1 grows at an even pace, more grows faster at first, less slower at first. Default: 1.
    #[serde(default = "even")]
    #[schemars(range(min = 0.01, max = 100))]
    pub(super) aggression: f64,
    /// The share of the weight that it begins with. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub(super) min_weight_percent: u32,
}

fn even() -> f64 {
    1.0
}

fn ten() -> u32 {
    10
}

/// Where requests wait while every endpoint is full: first come, first served. One that finds no room here, or waits
/// for too long, gets 503. A client that is bound to an endpoint waits for that one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Queue {
    /// Requests that may wait, on each worker; 0 lets none wait. Default: 1024.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(super) max_requests: u32,
    /// How long a request may wait. Default: 1s.
    pub(super) timeout: Span,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_requests: 1024, timeout: Span(Duration::from_secs(1)) }
    }
}

/// Which endpoints are healthy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Health {
    /// The plugin that judges probes and live traffic. Default: thresholds, which ejects what fails in live traffic.
    pub(super) evaluator: Option<PluginUse>,
    /// Probes. Default: none.
    pub(super) probe: Option<Probe>,
    /// Live traffic alone takes out no more than this share of the endpoints, though at least one of several. Default: 50.
    #[schemars(range(min = 0, max = 100))]
    pub(super) max_ejected_percent: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { evaluator: None, probe: None, max_ejected_percent: 50 }
    }
}

/// Probes of every endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    /// The prober that speaks the protocol, such as `http` or `tcp`.
    pub(super) plugin: String,
    /// What the prober is configured with.
    #[serde(default)]
    pub(super) config: Value,
    /// Where to probe, if not at the endpoint's own port: an agent beside the application, or a port for health alone.
    #[schemars(range(min = 1, max = 65535))]
    pub(super) port: Option<u16>,
    /// What probers such as `http` speak: `http1`, or `http2` in the clear with prior knowledge. Default: what the cluster
    /// says, or `http1` at a `port` of its own.
    pub(super) protocol: Option<UpstreamProtocol>,
    /// Between the beginnings of two probes of an endpoint. Default: 5s.
    #[serde(default = "five_seconds")]
    pub(super) interval: Span,
    /// A probe without a verdict by then has failed. Default: 2s.
    #[serde(default = "two_seconds")]
    pub(super) timeout: Span,
}

fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}

fn two_seconds() -> Span {
    Span(Duration::from_secs(2))
}

/// How long endpoints are waited for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClusterTimeouts {
    /// To make a connection. Default: 5s.
    pub(super) connect: SpanOrOff,
    /// For the head of the answer, from the last byte of the request. Default: 60s.
    pub(super) first_byte: SpanOrOff,
    /// Between two pieces of the answer's body. Default: 60s.
    pub(super) body_idle: SpanOrOff,
}

impl Default for ClusterTimeouts {
    fn default() -> Self {
        Self { connect: seconds(5), first_byte: seconds(60), body_idle: seconds(60) }
    }
}

fn seconds(seconds: u64) -> SpanOrOff {
    SpanOrOff(Some(Duration::from_secs(seconds)))
}

/// How large the heads of answers may be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClusterLimits {
    /// Size of an answer's head, from 8KiB to 1MiB. Default: 64KiB.
    pub(super) header_bytes: Size,
    /// Header fields of an answer. Default: 128.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) header_count: u32,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        Self { header_bytes: Size(64 << 10), header_count: 128 }
    }
}

/// Connections that are kept for further requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pool {
    /// Idle connections of each worker to each endpoint. Default: 128.
    #[schemars(range(min = 0, max = 100_000))]
    pub(super) idle_connections: u32,
    /// How long an idle connection is kept. Default: 50s.
    pub(super) idle_timeout: Span,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle_connections: 128, idle_timeout: Span(Duration::from_secs(50)) }
    }
}

/// One address that a cluster can send to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    /// `IP:PORT` or `HOST:PORT`. A name is looked up, see `resolver`: with several addresses, each is an endpoint of its own
    /// with the whole weight, and with `@` and its address behind the id. Without any, the cluster does without it until it
    /// has one.
    pub(super) address: String,
    /// What logs, cookies and hashes know it by. Default: the address.
    pub(super) id: Option<String>,
    /// Its share compared with the others; 0 gets nothing new. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 65535))]
    pub(super) weight: u32,
    /// Priority level; 0 is used first. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 127))]
    pub(super) priority: u32,
    /// Attempts that may be under way at it, counted over all workers; 0 is no bound. Default: what the cluster says.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(super) max_connections: Option<u32>,
    /// Where it runs.
    #[serde(default)]
    pub(super) zone: String,
    /// Labels for plugins.
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}
