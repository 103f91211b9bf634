//! From what was typed to what it means, with everything wrong about it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use super::errors::ConfigErrors;
use super::file::read_at_most;
use super::model::{
    AccessLog, AccessLogFormat, Admin, AdminBind, Certificate, Cluster, ClusterLimits, ClusterTimeouts, Config,
    Destination, Discover, Endpoint, Forwarded, HashKey, Health, Listener, ListenerLimits, ListenerTimeouts, LogOutput,
    NetworkPrefixes, PathPart, Plugin, PluginUse, Pool, Probe, Protocol, Queue, Resolver, SlowStart, StatePath, Tls,
    TlsPolicy, Underscores, UpstreamProtocol,
};
use super::network::{Network, Networks};
use super::quantity::{Size, Span, SpanOrOff};
use super::schema;
use super::source::Source;
use super::structure::Mistake;

/// Bounds of sizes, which a schema cannot hold since they may be written with units.
const HEADER_BYTES: std::ops::RangeInclusive<u64> = 8 << 10..=1 << 20;
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 30;
const TABLE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 30;
const SECRET_BYTES: usize = 16;
const SECRET_FILE_BYTES: u64 = 64 << 10;

/// Finds out what a file means, in spite of what is wrong with its structure; a mistake of either kind makes it fail.
pub(super) fn check(
    file: schema::File,
    of_structure: Vec<Mistake>,
    source: Source,
    directory: &Path,
) -> Result<Config, ConfigErrors> {
    let mut checker = Checker { directory, mistakes: Vec::new() };
    let secret = checker.secret(file.secret, file.secret_file);
    let admin = checker.admin(file.admin);
    let access_log = checker.access_log(file.access_log);
    let resolver = checker.resolver(file.resolver);
    let plugins = checker.plugins(file.plugins);
    let plugin_table_bytes = checker.table_bytes(&file.plugin_tables);
    let plugins_dir = checker.state_path("/plugins_dir", file.plugins_dir.as_deref());
    let endpoints_file = checker.state_path("/endpoints_file", file.endpoints_file.as_deref());
    let clusters = checker.clusters(file.clusters);
    let listeners = checker.listeners(file.listeners, &clusters);
    if listeners.is_empty() && checker.mistakes.is_empty() {
        checker.mistake("/listeners", "at least one listener is needed");
    }
    let mut mistakes = checker.mistakes;
    mistakes.retain(|(path, _)| !of_structure.iter().any(|(broken, _)| is_about(path, broken)));
    mistakes.extend(of_structure);
    if !mistakes.is_empty() {
        return Err(source.errors(mistakes));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Config {
        workers: file.workers.map_or(cores, |workers| workers as usize),
        secret,
        admin,
        access_log,
        shutdown_grace: file.shutdown.grace.0,
        resolver,
        plugins,
        plugin_table_bytes,
        plugins_dir,
        endpoints_file,
        listeners,
        clusters,
        source,
    })
}

/// The endpoints of a file of their own.
pub(super) fn check_endpoints(
    file: schema::EndpointFile,
    of_structure: Vec<Mistake>,
    max_connections: u32,
) -> Result<Vec<Endpoint>, Vec<Mistake>> {
    let mut checker = Checker { directory: Path::new(""), mistakes: of_structure };
    let endpoints = checker.endpoints("/endpoints", file.endpoints, max_connections);
    if checker.mistakes.is_empty() { Ok(endpoints) } else { Err(checker.mistakes) }
}

/// Whether a path is that of something broken, inside it or around it: what is said there may follow from that.
fn is_about(path: &str, broken: &str) -> bool {
    let is_in = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_in(path, broken) || is_in(broken, path)
}

struct Checker<'a> {
    directory: &'a Path,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    fn mistake(&mut self, path: &str, message: impl Into<String>) {
        self.mistakes.push((path.to_owned(), message.into()));
    }

    fn secret(&mut self, secret: Option<String>, file: Option<String>) -> Option<Vec<u8>> {
        let text = match (secret, file) {
            (Some(_), Some(_)) => {
                self.mistake("/secret_file", "either `secret` or `secret_file`, not both");
                return None;
            }
            (Some(text), None) => text,
            (None, Some(file)) => self.read("/secret_file", &file)?,
            (None, None) => return None,
        };
        if text.len() < SECRET_BYTES {
            self.mistake("/secret_file", format!("expected at least {SECRET_BYTES} characters, found {}", text.len()));
        }
        Some(text.into_bytes())
    }

    fn table_bytes(&mut self, bytes: &Size) -> usize {
        if !TABLE_BYTES.contains(&bytes.0) {
            self.mistake("/plugin_tables", format!("expected 1MiB to 64GiB, found {} bytes", bytes.0));
        }
        usize::try_from(bytes.0).unwrap_or(usize::MAX)
    }

    fn state_path(&mut self, path: &str, given: Option<&str>) -> StatePath {
        match given {
            None => StatePath::Beside,
            Some("off") => StatePath::Off,
            Some("") => {
                self.mistake(path, "expected a path or `off`, found \"\"");
                StatePath::Off
            }
            Some(given) => StatePath::At(self.directory.join(given)),
        }
    }

    fn read(&mut self, path: &str, file: &str) -> Option<String> {
        match read_at_most(&self.directory.join(file), SECRET_FILE_BYTES) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                self.mistake(path, format!("reading \"{file}\" failed: {error}"));
                None
            }
        }
    }

    fn admin(&mut self, admin: schema::Admin) -> Option<Admin> {
        if !admin.enabled {
            return None;
        }
        let token = match (admin.token, admin.token_file) {
            (Some(_), Some(_)) => {
                self.mistake("/admin/token_file", "either `token` or `token_file`, not both");
                None
            }
            (token, None) => token,
            (None, Some(file)) => self.read("/admin/token_file", &file),
        };
        if token.as_ref().is_some_and(String::is_empty) {
            self.mistake("/admin/token", "an empty token protects nothing");
        }
        for (index, host) in admin.hosts.iter().enumerate() {
            let is_name = host.parse::<http::uri::Authority>().is_ok_and(|authority| authority.host() == *host);
            if !is_name {
                self.mistake(
                    &format!("/admin/hosts/{index}"),
                    format!("expected a name without a port, found \"{host}\""),
                );
            }
        }
        if let Some(path) = admin.bind.strip_prefix("unix:") {
            return Some(Admin { bind: AdminBind::Unix(path.into()), token, hosts: admin.hosts });
        }
        let Ok(address) = admin.bind.parse::<SocketAddr>() else {
            self.mistake("/admin/bind", format!("expected IP:PORT or unix:PATH, found \"{}\"", admin.bind));
            return None;
        };
        if !address.ip().is_loopback() && token.is_none() {
            self.mistake("/admin/bind", format!("listening on {address}, beyond loopback, needs a `token`"));
        }
        Some(Admin { bind: AdminBind::Tcp(address), token, hosts: admin.hosts })
    }

    fn access_log(&mut self, log: schema::AccessLog) -> AccessLog {
        let format = match log.format {
            schema::LogFormat::Json => AccessLogFormat::Json,
            schema::LogFormat::Combined => AccessLogFormat::Combined,
            schema::LogFormat::Off => AccessLogFormat::Off,
        };
        let output = match log.output.as_deref() {
            None | Some("stdout") => LogOutput::Stdout,
            Some("") => {
                self.mistake("/access_log/output", "expected stdout or the path of a file, found \"\"");
                LogOutput::Stdout
            }
            Some(path) => LogOutput::File(self.directory.join(path)),
        };
        AccessLog { format, output }
    }

    fn resolver(&mut self, resolver: schema::Resolver) -> Resolver {
        let mut servers = Vec::new();
        for (index, server) in resolver.servers.iter().enumerate() {
            match server.parse() {
                Ok(address) => servers.push(address),
                Err(_) => {
                    self.mistake(&format!("/resolver/servers/{index}"), format!("expected IP:PORT, found \"{server}\""))
                }
            }
        }
        self.positive("/resolver/min_ttl", resolver.min_ttl);
        self.positive("/resolver/timeout", resolver.timeout);
        if resolver.max_ttl.0 < resolver.min_ttl.0 {
            self.mistake("/resolver/max_ttl", "expected no less than `min_ttl`");
        }
        Resolver { servers, min_ttl: resolver.min_ttl.0, max_ttl: resolver.max_ttl.0, timeout: resolver.timeout.0 }
    }

    fn discover(&mut self, path: &str, sources: Vec<schema::Discover>) -> Vec<Discover> {
        let mut checked = Vec::new();
        for (index, source) in sources.into_iter().enumerate() {
            let path = format!("{path}/{index}");
            let source = match (source.srv, source.file) {
                (Some(name), None) => Discover::Srv(name),
                (None, Some(file)) => Discover::File(self.directory.join(file)),
                _ => {
                    self.mistake(&path, "needs either `srv` or `file`");
                    continue;
                }
            };
            let is_empty = match &source {
                Discover::Srv(name) => name.is_empty(),
                Discover::File(file) => file.as_os_str().is_empty(),
            };
            if is_empty {
                self.mistake(&path, "a name is needed");
            } else if checked.contains(&source) {
                self.mistake(&path, "that is there already");
            } else {
                checked.push(source);
            }
        }
        checked
    }

    fn plugins(&mut self, plugins: Vec<schema::Plugin>) -> Vec<Plugin> {
        let mut names = Names::default();
        let mut checked = Vec::new();
        for (index, plugin) in plugins.into_iter().enumerate() {
            let path = format!("/plugins/{index}");
            names.add(self, &path, "plugin", &plugin.name);
            let memory = plugin.limits.memory.0;
            if !MEMORY_BYTES.contains(&memory) {
                self.mistake(&format!("{path}/limits/memory"), format!("expected 1MiB to 1GiB, found {memory} bytes"));
            }
            checked.push(Plugin {
                name: plugin.name,
                path: self.directory.join(plugin.path),
                grants: match plugin.grants {
                    Some(grants) => grants.into_iter().map(grant).collect(),
                    None => DEFAULT_GRANTS.to_vec(),
                },
                memory_bytes: usize::try_from(memory).unwrap_or(usize::MAX),
                conformance: plugin.conformance,
            });
        }
        checked
    }

    fn clusters(&mut self, clusters: Vec<schema::Cluster>) -> Vec<Cluster> {
        let mut names = Names::default();
        let mut checked = Vec::new();
        for (index, cluster) in clusters.into_iter().enumerate() {
            let path = format!("/clusters/{index}");
            names.add(self, &path, "cluster", &cluster.name);
            checked.push(self.cluster(&path, cluster));
        }
        checked
    }

    fn cluster(&mut self, path: &str, cluster: schema::Cluster) -> Cluster {
        let part = |part: &str| format!("{path}/{part}");
        let protocol = upstream_protocol(cluster.protocol);
        Cluster {
            balancer: plugin_use(&part("balancer"), cluster.balancer, "least-request"),
            partitioners: cluster
                .partitioners
                .into_iter()
                .enumerate()
                .map(|(index, plugin)| plugin_use(&format!("{path}/partitioners/{index}"), Some(plugin), ""))
                .collect(),
            affinity: cluster.affinity.map(|affinity| plugin_use(&part("affinity"), Some(affinity), "")),
            hash_on: self.hash_on(&part("hash_on"), &cluster.hash_on),
            health: self.health(&part("health"), cluster.health, protocol),
            slow_start: cluster.slow_start.map(|slow_start| self.slow_start(&part("slow_start"), &slow_start)),
            max_attempts: cluster.max_attempts as usize,
            load_reports: cluster.load_reports,
            queue: self.queue(&part("queue"), &cluster.queue),
            timeouts: ClusterTimeouts {
                connect: self.timeout(&part("timeouts/connect"), cluster.timeouts.connect),
                first_byte: self.timeout(&part("timeouts/first_byte"), cluster.timeouts.first_byte),
                body_idle: self.timeout(&part("timeouts/body_idle"), cluster.timeouts.body_idle),
            },
            limits: ClusterLimits {
                header_bytes: self.header_bytes(&part("limits"), &cluster.limits.header_bytes),
                header_count: cluster.limits.header_count as usize,
            },
            pool: Pool {
                idle_connections: cluster.pool.idle_connections as usize,
                idle_timeout: cluster.pool.idle_timeout.0,
            },
            endpoints: match cluster.endpoints {
                Some(endpoints) => self.endpoints(&part("endpoints"), endpoints, cluster.max_connections),
                None => {
                    if cluster.discover.is_empty() {
                        self.mistake(path, "`endpoints` is missing");
                    }
                    Vec::new()
                }
            },
            max_connections: cluster.max_connections,
            discover: self.discover(&part("discover"), cluster.discover),
            name: cluster.name,
            protocol,
        }
    }

    fn hash_on(&mut self, path: &str, items: &[Value]) -> Vec<HashKey> {
        let mut keys = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match hash_key(item) {
                Some(key) => keys.push(key),
                None => self.mistake(
                    &format!("{path}/{index}"),
                    format!(
                        "expected source_address, path, query, authority, server_name, rdp_cookie; or header, cookie, \
                         query_parameter, rdp_cookie with a name; or source_address with ipv4_prefix up to 32 and \
                         ipv6_prefix up to 128; or path with depth, length, query; found {item}"
                    ),
                ),
            }
        }
        keys
    }

    fn slow_start(&mut self, path: &str, slow_start: &schema::SlowStart) -> SlowStart {
        self.positive(&format!("{path}/duration"), slow_start.duration);
        SlowStart {
            duration: slow_start.duration.0,
            aggression: slow_start.aggression,
            min_weight_percent: slow_start.min_weight_percent,
        }
    }

    fn queue(&mut self, path: &str, queue: &schema::Queue) -> Queue {
        self.positive(&format!("{path}/timeout"), queue.timeout);
        Queue { max_requests: queue.max_requests as usize, timeout: queue.timeout.0 }
    }

    /// `protocol` is what the cluster speaks.
    fn health(&mut self, path: &str, health: schema::Health, protocol: UpstreamProtocol) -> Health {
        let probe = health.probe.map(|probe| {
            let pointer = format!("{path}/probe");
            self.positive(&format!("{pointer}/interval"), probe.interval);
            self.positive(&format!("{pointer}/timeout"), probe.timeout);
            Probe {
                plugin: PluginUse { plugin: probe.plugin, config: probe.config, pointer: format!("{pointer}/config") },
                port: probe.port,
                protocol: match (probe.protocol, probe.port) {
                    (Some(own), _) => upstream_protocol(own),
                    (None, None) => protocol,
                    (None, Some(_)) => UpstreamProtocol::Http1,
                },
                interval: probe.interval.0,
                timeout: probe.timeout.0,
            }
        });
        Health {
            evaluator: plugin_use(&format!("{path}/evaluator"), health.evaluator, "thresholds"),
            probe,
            max_ejected_percent: health.max_ejected_percent,
        }
    }

    fn endpoints(&mut self, path: &str, endpoints: Vec<schema::Endpoint>, max_connections: u32) -> Vec<Endpoint> {
        let mut names = Names::default();
        let mut checked = Vec::new();
        for (index, endpoint) in endpoints.into_iter().enumerate() {
            let path = format!("{path}/{index}");
            let id = endpoint.id.unwrap_or_else(|| endpoint.address.clone());
            if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) {
                self.mistake(&format!("{path}/id"), "expected 1 to 256 characters, none of them control characters");
            }
            names.add(self, &path, "endpoint", &id);
            match endpoint.address.parse() {
                Ok(address) => checked.push(Endpoint {
                    id,
                    address,
                    weight: endpoint.weight,
                    priority: endpoint.priority,
                    max_connections: endpoint.max_connections.unwrap_or(max_connections),
                    zone: endpoint.zone,
                    metadata: endpoint.metadata,
                }),
                Err(message) => self.mistake(&format!("{path}/address"), message),
            }
        }
        checked
    }

    fn listeners(&mut self, listeners: Vec<schema::Listener>, clusters: &[Cluster]) -> Vec<Listener> {
        let mut names = Names::default();
        let mut binds = HashSet::new();
        let mut checked = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            let path = format!("/listeners/{index}");
            names.add(self, &path, "listener", &listener.name);
            let bind: Option<SocketAddr> = listener.bind.parse().ok();
            match bind {
                None => self.mistake(&format!("{path}/bind"), format!("expected IP:PORT, found \"{}\"", listener.bind)),
                Some(bind) => {
                    // The system chooses another port for each.
                    if bind.port() != 0 && !binds.insert(bind) {
                        self.mistake(&format!("{path}/bind"), format!("another listener listens on {bind} already"));
                    }
                }
            }
            let destination = self.destination(&path, listener.router, listener.cluster, clusters);
            let limits = self.listener_limits(&path, listener.limits);
            let timeouts = self.listener_timeouts(&path, &listener.timeouts);
            let tls = listener.tls.and_then(|tls| self.tls(&format!("{path}/tls"), &tls, listener.protocol));
            let trusted = self.trusted(&path, listener.trusted, listener.protocol);
            let (Some(bind), Some(destination)) = (bind, destination) else { continue };
            checked.push(Listener {
                name: listener.name,
                bind,
                protocol: match listener.protocol {
                    schema::Protocol::Http => Protocol::Http,
                    schema::Protocol::Tcp => Protocol::Tcp,
                },
                destination,
                tls,
                forwarded: match listener.forwarded {
                    Some(schema::Forwarded::Append) => Forwarded::Append,
                    Some(schema::Forwarded::Replace) => Forwarded::Replace,
                    Some(schema::Forwarded::Off) => Forwarded::Off,
                    None if trusted.is_some() => Forwarded::Append,
                    None => Forwarded::Replace,
                },
                trusted,
                underscores: match listener.underscores {
                    schema::Underscores::Drop => Underscores::Drop,
                    schema::Underscores::Pass => Underscores::Pass,
                    schema::Underscores::Reject => Underscores::Reject,
                },
                timeouts,
                limits,
            });
        }
        checked
    }

    fn tls(&mut self, path: &str, tls: &schema::Tls, protocol: schema::Protocol) -> Option<Tls> {
        if matches!(protocol, schema::Protocol::Tcp) {
            self.mistake(path, "TCP listeners pass TLS through; only `protocol: http` ends it");
        }
        let mut certificates = Vec::new();
        for (index, files) in tls.certificates.iter().enumerate() {
            let pointer = format!("{path}/certificates/{index}");
            let chain = self.read(&format!("{pointer}/cert_file"), &files.cert_file);
            let key = self.read(&format!("{pointer}/key_file"), &files.key_file);
            if let (Some(chain), Some(key)) = (chain, key) {
                certificates.push(Certificate { chain, key, pointer });
            }
        }
        let policy = match tls.policy {
            schema::TlsPolicy::Intermediate
            | schema::TlsPolicy::Elb12Of2021
            | schema::TlsPolicy::ElbRestricted12Of2021 => TlsPolicy::Intermediate,
            schema::TlsPolicy::Modern | schema::TlsPolicy::Elb13Of2021 => TlsPolicy::Modern,
        };
        let is_whole = !certificates.is_empty() && certificates.len() == tls.certificates.len();
        is_whole.then(|| Tls { certificates, policy, pointer: path.to_owned() })
    }

    fn trusted(&mut self, path: &str, networks: Option<Vec<String>>, protocol: schema::Protocol) -> Option<Networks> {
        let networks = networks?;
        if matches!(protocol, schema::Protocol::Tcp) {
            self.mistake(&format!("{path}/trusted"), "TCP has no forwarding headers that could be believed");
        }
        let mut read = Vec::new();
        for (index, text) in networks.iter().enumerate() {
            match text.parse::<Network>() {
                Ok(network) => read.push(network),
                Err(message) => self.mistake(&format!("{path}/trusted/{index}"), message),
            }
        }
        Some(read.into_iter().collect())
    }

    fn destination(
        &mut self,
        path: &str,
        router: Option<schema::PluginUse>,
        cluster: Option<String>,
        clusters: &[Cluster],
    ) -> Option<Destination> {
        match (router, cluster) {
            (Some(router), None) => Some(Destination::Router(plugin_use(&format!("{path}/router"), Some(router), ""))),
            (None, Some(name)) => {
                if !clusters.iter().any(|cluster| cluster.name == name) {
                    self.mistake(&format!("{path}/cluster"), unknown_cluster(&name, clusters));
                }
                Some(Destination::Cluster(name))
            }
            (Some(_), Some(_)) => {
                self.mistake(&format!("{path}/cluster"), "either `router` or `cluster`, not both");
                None
            }
            (None, None) => {
                self.mistake(path, "needs a `router`, or a `cluster` that everything goes to");
                None
            }
        }
    }

    fn listener_limits(&mut self, path: &str, limits: schema::ListenerLimits) -> ListenerLimits {
        let header_bytes = self.header_bytes(&format!("{path}/limits"), &limits.header_bytes);
        ListenerLimits {
            connections: limits.connections as usize,
            header_count: limits.header_count as usize,
            header_bytes,
            body_bytes: limits.body_bytes.0,
            concurrent_streams: limits.concurrent_streams,
        }
    }

    fn header_bytes(&mut self, path: &str, bytes: &Size) -> usize {
        if !HEADER_BYTES.contains(&bytes.0) {
            let message = format!("expected 8KiB to 1MiB, found {} bytes", bytes.0);
            self.mistake(&format!("{path}/header_bytes"), message);
        }
        usize::try_from(bytes.0).unwrap_or(usize::MAX)
    }

    fn listener_timeouts(&mut self, path: &str, timeouts: &schema::ListenerTimeouts) -> ListenerTimeouts {
        let mut timeout = |name: &str, span| self.timeout(&format!("{path}/timeouts/{name}"), span);
        ListenerTimeouts {
            tls_handshake: timeout("tls_handshake", timeouts.tls_handshake),
            client_header: timeout("client_header", timeouts.client_header),
            keep_alive: timeout("keep_alive", timeouts.keep_alive),
            request: timeout("request", timeouts.request),
            body_idle: timeout("body_idle", timeouts.body_idle),
            idle: timeout("idle", timeouts.idle),
        }
    }

    fn timeout(&mut self, path: &str, span: SpanOrOff) -> Option<Duration> {
        if let Some(duration) = span.0 {
            self.positive(path, Span(duration));
        }
        span.0
    }

    fn positive(&mut self, path: &str, span: Span) {
        if span.0.is_zero() {
            self.mistake(path, "a time of 0 would end everything at once; `off` is no limit where it is allowed");
        }
    }
}

const DEFAULT_GRANTS: [&str; 7] = ["log", "metrics", "clock", "random", "counters", "keys", "table"];

fn grant(grant: schema::Grant) -> &'static str {
    match grant {
        schema::Grant::Log => "log",
        schema::Grant::Metrics => "metrics",
        schema::Grant::Clock => "clock",
        schema::Grant::Random => "random",
        schema::Grant::Counters => "counters",
        schema::Grant::Keys => "keys",
        schema::Grant::Table => "table",
        schema::Grant::SharedTable => "shared-table",
        schema::Grant::Node => "node",
        schema::Grant::Wasi => "wasi",
    }
}

fn upstream_protocol(protocol: schema::UpstreamProtocol) -> UpstreamProtocol {
    match protocol {
        schema::UpstreamProtocol::Http1 => UpstreamProtocol::Http1,
        schema::UpstreamProtocol::Http2 => UpstreamProtocol::Http2,
    }
}

fn plugin_use(path: &str, plugin: Option<schema::PluginUse>, default: &str) -> PluginUse {
    let pointer = format!("{path}/config");
    match plugin {
        Some(plugin) => PluginUse { plugin: plugin.plugin, config: plugin.config, pointer },
        None => PluginUse { plugin: default.to_owned(), config: Value::Null, pointer },
    }
}

fn hash_key(item: &Value) -> Option<HashKey> {
    if let Some(word) = item.as_str() {
        return match word {
            "source_address" => Some(HashKey::SourceAddress),
            "path" => Some(HashKey::Path),
            "query" => Some(HashKey::Query),
            "authority" => Some(HashKey::Authority),
            "server_name" => Some(HashKey::ServerName),
            "rdp_cookie" => Some(HashKey::RdpCookie("mstshash".to_owned())),
            _ => None,
        };
    }
    let map = item.as_object().filter(|map| map.len() == 1)?;
    let (kind, value) = map.iter().next()?;
    match (kind.as_str(), value) {
        ("source_address", Value::Object(prefixes)) => network(prefixes),
        ("path", Value::Object(part)) => path_part(part),
        (_, Value::String(name)) if name.is_empty() => None,
        ("header", Value::String(name)) => {
            name.parse::<http::HeaderName>().ok().map(|name| HashKey::Header(name.to_string()))
        }
        ("cookie", Value::String(name)) => Some(HashKey::Cookie(name.clone())),
        ("query_parameter", Value::String(name)) => Some(HashKey::QueryParameter(name.clone())),
        ("rdp_cookie", Value::String(name)) => Some(HashKey::RdpCookie(name.clone())),
        _ => None,
    }
}

fn network(prefixes: &Map<String, Value>) -> Option<HashKey> {
    let mut network = NetworkPrefixes { ipv4: 32, ipv6: 128 };
    for (key, bits) in prefixes {
        let (part, most) = match key.as_str() {
            "ipv4_prefix" => (&mut network.ipv4, 32),
            "ipv6_prefix" => (&mut network.ipv6, 128),
            _ => return None,
        };
        *part = u8::try_from(bits.as_u64()?).ok().filter(|bits| *bits <= most)?;
    }
    Some(HashKey::SourceNetwork(network))
}

fn path_part(wanted: &Map<String, Value>) -> Option<HashKey> {
    let mut part = PathPart { depth: None, length: None, query: false };
    let positive =
        |value: &Value| value.as_u64().and_then(|value| usize::try_from(value).ok()).filter(|value| *value > 0);
    for (key, value) in wanted {
        match key.as_str() {
            "depth" => part.depth = Some(positive(value)?),
            "length" => part.length = Some(positive(value)?),
            "query" => part.query = value.as_bool()?,
            _ => return None,
        }
    }
    Some(HashKey::PathPart(part))
}

fn unknown_cluster(name: &str, clusters: &[Cluster]) -> String {
    let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    format!("cluster `{name}` does not exist; there are: {}", names.join(", "))
}

/// Names of one kind of thing, which must be there and be different.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn add(&mut self, checker: &mut Checker<'_>, path: &str, kind: &str, name: &str) {
        if name.is_empty() {
            checker.mistake(&format!("{path}/name"), "a name is needed");
        } else if !self.0.insert(name.to_owned()) {
            checker.mistake(path, format!("there is another {kind} `{name}`"));
        }
    }
}
