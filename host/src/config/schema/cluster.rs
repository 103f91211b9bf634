use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::health::Health;
use super::retries::Retries;
use super::upstream::{UpstreamProtocol, UpstreamTls};
use super::{PluginUse, seconds};
use crate::config::quantity::{Size, Span, SpanOrOff};

/// A named group of endpoints, and how they are used.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Cluster {
    /// What routes call it.
    pub(in crate::config) name: String,
    /// Speaks TLS to the endpoints; `{}` is enough. Default: none, in the clear.
    pub(in crate::config) tls: Option<UpstreamTls>,
    /// What is spoken to the endpoints of HTTP listeners: `http1`, `http2`, `http3`, or `auto`. With `tls`, `auto` is HTTP/2 where the
    /// endpoint can and HTTP/1.1 otherwise (ALPN), and `http2` fails with endpoints that cannot. In the clear, `auto` is
    /// HTTP/1.1, and `http2` takes prior knowledge, as gRPC servers without TLS do. `http3` takes `tls`. Where its endpoint cannot be reached by UDP (nobody listens, or there is no handshake within half
    /// of `timeouts.connect`), HTTP/2 over TLS stands in for five minutes, then for twice as long each time up to 80 minutes, which
    /// the log says once and `plimsoll_upstream_http3_fallbacks_total` counts. With HTTP/2 and HTTP/3, up to 128 requests of a worker
    /// share a connection, or as many as the endpoint
    /// allows (SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS); the next one gets another connection. `max_connections` bounds the
    /// requests, not these connections, of which `pool` bounds the idle ones. Of an answer that its client does not take,
    /// an endpoint may send 256 KiB ahead (the window of a stream; the window of the connection is as large as may be, so
    /// that no client holds up another). Requests that the endpoint has not acted on (REFUSED_STREAM, H3_REQUEST_REJECTED, above the last
    /// stream of a GOAWAY) are sent elsewhere. With `http2` and `http3`, calls of gRPC-Web (`application/grpc-web`, and
    /// `application/grpc-web-text`) go to endpoints as gRPC, and their clients get answers of gRPC-Web. Default: auto.
    #[serde(default)]
    pub(in crate::config) protocol: UpstreamProtocol,
    /// Tells the endpoints whom a connection is for, by the PROXY protocol, before TLS and all else; see below. Default: none.
    pub(in crate::config) proxy_protocol: Option<SendProxyProtocol>,
    /// Endpoints see the client's own address as the source of connections and datagrams, as with nginx's `proxy_bind $remote_addr
    /// transparent`; a connection is for one client then, and of `http1`. It takes CAP_NET_ADMIN, endpoints that route their answers
    /// through this machine, and a rule by which it keeps what comes from them for itself: for endpoints behind `eth1`,
    /// `ip rule add iif eth1 lookup 100` and `ip route add local 0.0.0.0/0 dev lo table 100` (`ip -6` and `::/0`
    /// likewise). A client reaches endpoints of its own family of addresses only. Probes come from our own address. Default: false.
    #[serde(default)]
    pub(in crate::config) transparent: bool,
    /// The plugin that picks an endpoint. Default: least-request, which takes the better of two random ones.
    pub(in crate::config) balancer: Option<PluginUse>,
    /// Plugins that divide the endpoints into groups and choose one; the balancer picks inside it. The first of several
    /// divides the cluster, the next what the first made of it. Built in: priority, locality, subset. Default: none.
    #[serde(default)]
    #[schemars(length(max = 4))]
    pub(in crate::config) partitioners: Vec<PluginUse>,
    /// The plugin that binds clients to endpoints. Default: none.
    pub(in crate::config) affinity: Option<PluginUse>,
    /// What the key of hashing balancers is made of; the first that the request has and that is not empty. Without any,
    /// there is no key, and such balancers pick at random. Items: `source_address`, or just its network by
    /// `{ source_address: { ipv4_prefix: 24, ipv6_prefix: 64 } }` (default: all bits); `path`, or its beginning by
    /// `{ path: { depth: SEGMENTS, length: BYTES, query: true } }` (`query` goes on with the query where the path ends);
    /// `query`, `authority`, `server_name`, `{ header: NAME }`, `{ cookie: NAME }`, `{ query_parameter: NAME }`,
    /// `{ claim: NAME }` of the JSON Web Token in `Authorization`, or `{ claim: { header: NAME, name: NAME } }` (a claim within
    /// another is `outer.inner`; nothing of the token is verified, so that a client may choose whose company it keeps);
    /// `{ body_prefix: BYTES }`, up to 65536 of the body as it was sent, for which the proxy waits before it chooses an
    /// endpoint: as long as `timeouts.client_header` of the listener says, then it answers 408; for `tcp` listeners
    /// `rdp_cookie`, the `mstshash` of a Remote Desktop client, or `{ rdp_cookie: NAME }`.
    #[serde(default)]
    pub(in crate::config) hash_on: Vec<Value>,
    /// Which endpoints are healthy.
    #[serde(default)]
    pub(in crate::config) health: Health,
    /// Lets endpoints that come into service warm up. Default: none.
    pub(in crate::config) slow_start: Option<SlowStart>,
    /// How long what is under way at an endpoint may go on after the endpoint has left service: since it drains, is disabled,
    /// unhealthy or removed. What is still there then is ended: requests that wait for an answer are tried elsewhere as after a
    /// timeout, answers that are being sent break off (streams are reset), WebSockets and TCP connections are closed, sessions of
    /// UDP end; a draining endpoint also loses the clients that are bound to it. An endpoint that comes back before keeps all.
    /// Default: off, all ends by itself.
    #[serde(default = "never")]
    pub(in crate::config) deregistration_delay: SpanOrOff,
    /// Endpoints that a request is tried at, before it fails. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 16))]
    pub(in crate::config) max_attempts: u32,
    /// When a request is tried again.
    #[serde(default)]
    pub(in crate::config) retries: Retries,
    /// Endpoints say with their answers how loaded they are, by ORCA: `endpoint-load-metrics` (TEXT, JSON or BIN),
    /// `endpoint-load-metrics-json` or `endpoint-load-metrics-bin`. These fields are read for the balancers that go by
    /// them, and taken out of what the client gets. Default: false.
    #[serde(default)]
    pub(in crate::config) load_reports: bool,
    /// Attempts that may be under way at each endpoint, counted over all workers; 0 is no bound. Kept connections
    /// without a request do not count. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(in crate::config) max_connections: u32,
    /// Attempts that may be under way at all endpoints together, counted over all workers; 0 is no bound. A cluster with as
    /// many is full. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(in crate::config) max_requests: u32,
    /// Finds by itself how many attempts may be under way at all endpoints together; see below. Default: none.
    pub(in crate::config) adaptive_concurrency: Option<AdaptiveConcurrency>,
    /// Where requests wait while every endpoint is full, that is, has `max_connections` attempts under way.
    #[serde(default)]
    pub(in crate::config) queue: Queue,
    /// How long endpoints are waited for.
    #[serde(default)]
    pub(in crate::config) timeouts: ClusterTimeouts,
    /// How large the heads of answers may be; the client of one that is larger gets 502.
    #[serde(default)]
    pub(in crate::config) limits: ClusterLimits,
    /// Connections that are kept for further requests.
    #[serde(default)]
    pub(in crate::config) pool: Pool,
    /// `IP:PORT` or `HOST:PORT`, or with more about it. Needed unless there is `discover`.
    pub(in crate::config) endpoints: Option<Vec<Endpoint>>,
    /// Where further endpoints come from. Of two endpoints with one id, the first counts: those of `endpoints`, then those
    /// of these sources in their order.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(in crate::config) discover: Vec<Discover>,
}

/// The PROXY protocol to endpoints: the address of the client as plugins and logs see it, and where it has connected to. Of
/// HTTP, a connection then carries one request and is not kept: kept ones would tell the endpoint of another client. Of a `udp`
/// listener, each datagram to the endpoint has the header in front, as PowerDNS and others that take it by UDP expect; only `v2` can
/// say that. Probes say that they are our own (LOCAL, UNKNOWN).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SendProxyProtocol {
    /// `v1`, a line of text, or `v2`, which is binary.
    pub(in crate::config) version: ProxyProtocolVersion,
    /// What `v2` says beside the addresses, as far as it is known: `alpn`, what the client speaks above TLS; `authority`, the name
    /// that it has asked for (SNI), on a `tcp` listener that passes TLS through where a decision depends on it; `ssl`, version, cipher
    /// and common name of its TLS with us, or with a proxy in front of us that has said it; `unique_id` that such a proxy has given;
    /// `crc32c`, a checksum. Default: none.
    #[serde(default)]
    #[schemars(length(max = 5))]
    pub(in crate::config) tlvs: Vec<ProxyProtocolTlv>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::config) enum ProxyProtocolVersion {
    V1,
    V2,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::config) enum ProxyProtocolTlv {
    Alpn,
    Authority,
    Ssl,
    UniqueId,
    Crc32c,
}

/// Somewhere that endpoints come from. Just one of these:
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Discover {
    /// Name of a service, as in `_http._tcp.example.com`: its SRV records (RFC 2782) are endpoints with their weights (0 counts
    /// as 1), and their priorities are priority levels, in their order. They are looked up again as `resolver` says.
    pub(in crate::config) srv: Option<String>,
    /// Path of a file with a list `endpoints`, as in a cluster, YAML or JSON; relative to the configuration file. It is read
    /// again whenever it changes; one that cannot be used changes nothing.
    pub(in crate::config) file: Option<String>,
    /// Name of a plugin of the role `discovery`, which finds them by requests to other clusters. What it published last holds until it
    /// publishes something else. A configuration waits for its first answer for up to 3 s after it has gone live.
    pub(in crate::config) plugin: Option<String>,
    /// What the plugin is configured with.
    #[serde(default)]
    pub(in crate::config) config: Value,
}

/// A file of endpoints.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct EndpointFile {
    /// As in a cluster.
    pub(in crate::config) endpoints: Vec<Endpoint>,
}

fn never() -> SpanOrOff {
    SpanOrOff(None)
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
pub(in crate::config) struct SlowStart {
    /// How long it takes.
    pub(in crate::config) duration: Span,
    /// 1 grows at an even pace, more grows faster at first, less slower at first. Default: 1.
    #[serde(default = "even")]
    #[schemars(range(min = 0.01, max = 100))]
    pub(in crate::config) aggression: f64,
    /// The share of the weight that it begins with. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub(in crate::config) min_weight_percent: u32,
}

fn even() -> f64 {
    1.0
}

fn ten() -> u32 {
    10
}

/// Finds by how long answers take how many attempts may be under way at all endpoints of a cluster together, over all workers; `{}` is
/// enough. As long as answers take about as long as when few are under way, more may be; when they take longer, requests
/// wait at the endpoints, and fewer may be. A cluster with as many is full, as with `max_requests`, which holds beside it. What counts is
/// the time to the first byte of an answer, or to a timeout; errors do not. How long answers take without waiting is the least that
/// was seen, and is measured anew with a somewhat smaller limit for a moment. For requests, not for `tcp` and `udp`.
/// `plimsoll_cluster_concurrency_limit` has the present limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct AdaptiveConcurrency {
    /// The least limit. Default: 3.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::config) min: u32,
    /// The highest. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(in crate::config) max: u32,
    /// By how much longer answers may take than without waiting. Default: 25.
    #[schemars(range(min = 0, max = 400))]
    pub(in crate::config) tolerance_percent: u32,
    /// The percentile of the times to first byte that counts. Default: 50.
    #[schemars(range(min = 1, max = 99))]
    pub(in crate::config) percentile: u32,
    /// How often it is measured anew how long answers take without waiting, up to a quarter later at random. Default: 30s.
    pub(in crate::config) measure_every: Span,
}

impl Default for AdaptiveConcurrency {
    fn default() -> Self {
        let measure_every = Span(Duration::from_secs(30));
        Self { min: 3, max: 1000, tolerance_percent: 25, percentile: 50, measure_every }
    }
}

/// Where requests wait while every endpoint is full: first come, first served. One that finds no room here, or waits
/// for too long, gets 503. A client that is bound to an endpoint waits for that one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Queue {
    /// Requests that may wait, counted over all workers; 0 lets none wait. Default: 1024.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(in crate::config) max_requests: u32,
    /// How long a request may wait. Default: 1s.
    pub(in crate::config) timeout: Span,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_requests: 1024, timeout: Span(Duration::from_secs(1)) }
    }
}

/// How long endpoints are waited for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ClusterTimeouts {
    /// To make a connection, TLS handshake included. Default: 5s.
    pub(in crate::config) connect: SpanOrOff,
    /// For the endpoint to take the next piece of a request's body, of up to 64KiB. Default: 60s.
    pub(in crate::config) send: SpanOrOff,
    /// For the head of the answer, from the last byte of the request, in each attempt. Default: 60s.
    pub(in crate::config) first_byte: SpanOrOff,
    /// Between two pieces of the answer's body. Default: 60s.
    pub(in crate::config) body_idle: SpanOrOff,
}

impl Default for ClusterTimeouts {
    fn default() -> Self {
        Self { connect: seconds(5), send: seconds(60), first_byte: seconds(60), body_idle: seconds(60) }
    }
}

/// How large the heads of answers may be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct ClusterLimits {
    /// Size of an answer's head, from 8KiB to 1MiB. Default: 64KiB.
    pub(in crate::config) header_bytes: Size,
    /// Header fields of an answer. Default: 128.
    #[schemars(range(min = 1, max = 1000))]
    pub(in crate::config) header_count: u32,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        Self { header_bytes: Size(64 << 10), header_count: 128 }
    }
}

/// Connections that are kept for further requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Pool {
    /// Idle connections of each worker to each endpoint. Default: 128.
    #[schemars(range(min = 0, max = 100_000))]
    pub(in crate::config) idle_connections: u32,
    /// How long an idle connection is kept. Default: 50s.
    pub(in crate::config) idle_timeout: Span,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle_connections: 128, idle_timeout: Span(Duration::from_secs(50)) }
    }
}

/// One address that a cluster can send to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Endpoint {
    /// `IP:PORT` or `HOST:PORT`. A name is looked up, see `resolver`: with several addresses, each is an endpoint of its own
    /// with the whole weight, and with `@` and its address behind the id. Without any, the cluster does without it until it
    /// has one.
    pub(in crate::config) address: String,
    /// What logs, cookies and hashes know it by. Default: the address.
    pub(in crate::config) id: Option<String>,
    /// Its share compared with the others; 0 gets nothing new. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 65535))]
    pub(in crate::config) weight: u32,
    /// Priority level; 0 is used first. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 127))]
    pub(in crate::config) priority: u32,
    /// Attempts that may be under way at it, counted over all workers; 0 is no bound. Default: what the cluster says.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub(in crate::config) max_connections: Option<u32>,
    /// Where it runs.
    #[serde(default)]
    pub(in crate::config) zone: String,
    /// Labels for plugins.
    #[serde(default)]
    pub(in crate::config) metadata: BTreeMap<String, String>,
}

fn one() -> u32 {
    1
}
