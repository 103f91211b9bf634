//! What users type. The comments here are the manual: they become the JSON Schema and docs/CONFIG.md.

mod acme;
mod cluster;
mod health;
mod listener;
mod overload;
mod retries;
mod upstream;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::model::Conformance;
use super::quantity::{Size, Span, SpanOrOff};

pub(super) use self::acme::{Acme, AcmeCertificate, Challenge, ExternalAccount};
pub(super) use self::cluster::{
    AdaptiveConcurrency, Cluster, Discover, Endpoint, EndpointFile, ProxyProtocolTlv, ProxyProtocolVersion, Queue,
    SendProxyProtocol, SlowStart,
};
pub(super) use self::health::{Check, Health, Probe};
pub(super) use self::listener::{
    Certificate, ClientCertificateMode, ClientCertificates, Forwarded, Hsts, Listener, ListenerLimits,
    ListenerTimeouts, Passthrough, Protocol, ProxyProtocol, ProxyProtocolMode, Qlog, Tls, TlsPolicy, Udp, Underscores,
};
pub(super) use self::overload::Overload;
pub(super) use self::retries::{Retries, RetryOn};
pub(super) use self::upstream::{UpstreamProtocol, UpstreamTls};

/// The configuration of a proxy. YAML, or JSON, which is YAML.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Worker threads. Default: one for each processor core.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) workers: Option<u32>,
    /// This proxy among others, as plugins see it (`host::node`). Taken at the start.
    #[serde(default)]
    pub(super) node: Node,
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
    /// What is refused before the process has used up what it may have.
    #[serde(default)]
    pub(super) overload: Overload,
    /// How names of endpoints are looked up.
    #[serde(default)]
    pub(super) resolver: Resolver,
    /// Plugins beyond the built-in ones.
    #[serde(default)]
    pub(super) plugins: Vec<Plugin>,
    /// The directory that uploaded plugins are kept in, so that they are there after a restart; relative to this file. `off`
    /// keeps none. Default: beside this file, with its name and the ending `plugins`, as in `config.plugins`.
    pub(super) plugins_dir: Option<String>,
    /// Public keys of minisign, each the second line of a `minisign.pub`. Where there are any, a component that does not ship with
    /// the proxy is loaded only with a signature by one of them: of a file, the one beside it, with its name and the ending
    /// `.minisig`; of an upload, what it brings as `signature`. Taken at the start: a configuration with others is refused. Default: none.
    #[serde(default)]
    pub(super) plugin_keys: Vec<String>,
    /// What all plugins together may have the proxy remember (`host::table`); each has its own `limits.memory` besides. Who finds
    /// no room loses what it has used least recently. From 1MiB to 64GiB. Default: 256MiB.
    #[serde(default = "tables")]
    pub(super) plugin_tables: Size,
    /// The file that endpoints are kept in which the admin API has added or removed with `persist=true`, so that they are
    /// so after a restart; relative to this file. `off` keeps none. Default: beside this file, with its name and the ending
    /// `endpoints.json`, as in `config.endpoints.json`.
    pub(super) endpoints_file: Option<String>,
    /// The file that the state of endpoints is kept in, so that they begin the next start with it: weights and what else operators
    /// have changed by the admin API, and who is out by its probes. The configuration wins: a weight goes when the configured one
    /// changes, and so does all of an endpoint that has another address. What probes said is believed for 10 minutes, and until a
    /// probe passes. Relative to this file; `off` keeps none. Default: beside this file, with its name and the ending
    /// `state.json`, as in `config.state.json`.
    pub(super) state_file: Option<String>,
    /// The directory that certificates and their keys are kept in, readable by its owner alone, whether they were uploaded or
    /// came by ACME; relative to this file. `off` keeps none, so that those that were uploaded are gone at the next start.
    /// Default: beside this file, with its name and the ending `certificates`, as in `config.certificates`.
    pub(super) certificates_dir: Option<String>,
    /// From whom the certificates under `tls.acme` of listeners come.
    pub(super) acme: Option<Acme>,
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

/// This proxy among others.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Node {
    /// What it is called. Default: the name of the machine.
    #[schemars(length(min = 1, max = 256))]
    pub(super) id: Option<String>,
    /// Where it runs, in the words of `zone` of endpoints. Default: nothing is said.
    #[schemars(length(min = 1, max = 256))]
    pub(super) zone: Option<String>,
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
/// flag: `NR` no route; `UH` no endpoint that may take it; `UO` every endpoint full; `RX` not tried again for want of retry budget; `OM` the proxy has too much in use; `UF` no connection to an endpoint; `TF` no TLS with it;
/// `UT` the endpoint did not answer in time; `UC` it closed or reset the connection;
/// `ED` it had left service (`deregistration_delay`); `DC` the client went away; `RT`
/// the request took too long; `IT` a TCP connection was silent for too long; `BL` the body was too long; `BR` malformed
/// (over HTTP/2 the stream is reset, and the line says 400 without method and path); `PP` the header of the PROXY protocol was missing,
/// late or wrong; `DR` still open when the proxy had
/// to end; `IE` the proxy failed; `PF` a plugin failed and the host decided; `PR` a plugin answered. A line in JSON of
/// a request that came over TLS also has `tls_version`, `tls_cipher` and `server_name`, that of a gRPC call `grpc_status`, if
/// it ended with one. The line of a TCP connection
/// says `"protocol":"tcp"` (in `combined`, its request line begins with `TCP`), has no method, path or status, and
/// tells the server name that a TLS client asked for, the bytes from and to the client, how long it lasted, how long
/// connecting to the endpoint took, and by `end` why it ended: `client_closed` or `endpoint_closed` (who ended its side
/// first), `client_reset`, `endpoint_reset`, `idle_timeout`, `deregistered`, `proxy_header`, `no_route`, `no_endpoint`, `overflow`, `connect_failure`,
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

fn seconds(seconds: u64) -> SpanOrOff {
    SpanOrOff(Some(Duration::from_secs(seconds)))
}
