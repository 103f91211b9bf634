//! From what was typed to what it means, with everything wrong about it.

mod acme;
mod cluster;
mod health;
mod listener;
mod retries;
mod udp;
mod upstream_tls;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use minisign_verify::PublicKey;
use serde_json::Value;

use super::errors::ConfigErrors;
use super::file::read_at_most;
use super::model::{
    AccessLog, AccessLogFormat, Admin, AdminBind, Cluster, Config, Endpoint, LogOutput, MaxMemory, Node, Overload,
    Plugin, PluginUse, Resolver, StatePath,
};
use super::quantity::{Size, SizeOrOff, Span, SpanOrOff};
use super::schema;
use super::source::Source;
use super::structure::Mistake;

/// Bounds of sizes, which a schema cannot hold since they may be written with units.
const HEADER_BYTES: std::ops::RangeInclusive<u64> = 8 << 10..=1 << 20;
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 30;
/// Less than the process has in use at the beginning.
const LEAST_MEMORY_BYTES: u64 = 16 << 20;
const TABLE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 30;
const SECRET_BYTES: usize = 16;
const SECRET_FILE_BYTES: u64 = 64 << 10;
/// Of a file of roots; all that a system trusts are a fraction of it.
const CA_FILE_BYTES: u64 = 4 << 20;

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
    let overload = checker.overload(&file.overload);
    let resolver = checker.resolver(file.resolver);
    let plugins = checker.plugins(file.plugins);
    let plugin_keys = checker.plugin_keys(&file.plugin_keys);
    let plugin_table_bytes = checker.table_bytes(&file.plugin_tables);
    let plugins_dir = checker.state_path("/plugins_dir", file.plugins_dir.as_deref());
    let endpoints_file = checker.state_path("/endpoints_file", file.endpoints_file.as_deref());
    let state_file = checker.state_path("/state_file", file.state_file.as_deref());
    let certificates_dir = checker.state_path("/certificates_dir", file.certificates_dir.as_deref());
    let clusters = checker.clusters(file.clusters);
    checker.tracked(&clusters);
    let listeners = checker.listeners(file.listeners, &clusters);
    let acme = checker.acme(file.acme, &listeners, &certificates_dir);
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
        node: Node { id: file.node.id, zone: file.node.zone },
        workers: file.workers.map_or(cores, |workers| workers as usize),
        secret,
        admin,
        access_log,
        shutdown_grace: file.shutdown.grace.0,
        overload,
        resolver,
        plugins,
        plugin_keys,
        plugin_table_bytes,
        plugins_dir,
        endpoints_file,
        state_file,
        certificates_dir,
        acme,
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
        self.read_at_most(path, file, SECRET_FILE_BYTES)
    }

    fn read_at_most(&mut self, path: &str, file: &str, bytes: u64) -> Option<String> {
        match read_at_most(&self.directory.join(file), bytes) {
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

    fn overload(&mut self, overload: &schema::Overload) -> Overload {
        let max_memory = match &overload.max_memory {
            None => MaxMemory::OfMachine,
            Some(SizeOrOff(None)) => MaxMemory::Off,
            Some(SizeOrOff(Some(bytes))) => {
                if *bytes < LEAST_MEMORY_BYTES {
                    self.mistake(
                        "/overload/max_memory",
                        format!("expected at least 16MiB or `off`, found {bytes} bytes"),
                    );
                }
                MaxMemory::At(*bytes)
            }
        };
        Overload {
            max_connections: overload.max_connections.map_or(0, |most| most as usize),
            max_memory,
            max_open_files_percent: overload.max_open_files_percent.unwrap_or(90),
        }
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

    fn plugin_keys(&mut self, keys: &[String]) -> Vec<PublicKey> {
        let mut checked = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            match PublicKey::from_base64(key.trim()) {
                Ok(key) => checked.push(key),
                Err(_) => self.mistake(
                    &format!("/plugin_keys/{index}"),
                    "expected a public key of minisign, which is the second line of a `minisign.pub` and begins with RW",
                ),
            }
        }
        checked
    }

    fn header_bytes(&mut self, path: &str, bytes: &Size) -> usize {
        if !HEADER_BYTES.contains(&bytes.0) {
            let message = format!("expected 8KiB to 1MiB, found {} bytes", bytes.0);
            self.mistake(&format!("{path}/header_bytes"), message);
        }
        usize::try_from(bytes.0).unwrap_or(usize::MAX)
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

/// What plugins may import where nothing is said of it.
pub const DEFAULT_GRANTS: [&str; 9] =
    ["log", "metrics", "clock", "random", "counters", "keys", "table", "shared-table", "node"];

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

fn plugin_use(path: &str, plugin: Option<schema::PluginUse>, default: &str) -> PluginUse {
    let pointer = format!("{path}/config");
    match plugin {
        Some(plugin) => PluginUse { plugin: plugin.plugin, config: plugin.config, pointer },
        None => PluginUse { plugin: default.to_owned(), config: Value::Null, pointer },
    }
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
