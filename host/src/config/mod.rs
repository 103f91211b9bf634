//! The configuration: what users type (`schema`), and what it means (`model`), which only `check` makes from the first.
//! Every mistake is reported at once, with its path and line. Pure: nothing here opens a socket or asks a plugin.

mod address;
mod check;
mod errors;
mod file;
mod model;
mod network;
mod probe_target;
mod quantity;
mod redact;
mod reference;
mod schema;
mod similar;
mod socket;
mod source;
mod structure;
mod targets;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use address::Address;
pub use check::DEFAULT_GRANTS;
pub use errors::{ConfigError, ConfigErrors};
use file::MAX_BYTES;
pub(crate) use file::read_file;
pub use model::{
    AccessLog, AccessLogFormat, Acme, AcmeNames, Admin, AdminBind, Certificate, Challenge, Check, CheckTls,
    ClientCertificates, Cluster, ClusterLimits, ClusterTimeouts, Config, Conformance, Destination, Discover, Endpoint,
    ExternalAccount, Forwarded, GivenEndpoint, HashKey, Health, Http3, KeyPair, Listener, ListenerLimits,
    ListenerTimeouts, LogOutput, MOST_BODY_PREFIX, MaxMemory, NetworkPrefixes, Node, Overload, Pace, Passes,
    Passthrough, PathPart, Plugin, PluginUse, Pool, Probe, Protocol, ProxyProtocol, Qlog, Queue, Quic, RedirectHttps,
    Resolver, Retries, SendProxyProtocol, ServerId, SlowStart, StatePath, Tls, TlsPolicy, Udp, Underscores, Upgrades,
    UpstreamProtocol, UpstreamTls,
};
pub use network::{Network, Networks};
pub use probe_target::{PROBED, ProbeTarget};
pub(crate) use quantity::{FineSpan, Span, parse_size};
pub use redact::REDACTED;
pub use reference::reference_markdown;
#[cfg(test)]
pub(crate) use reference::reference_of;
pub use similar::similar;
pub use socket::{Afterlife, SocketKey, Transport};
pub use source::Source;
pub use targets::HttpsNames;

/// Reads and checks a configuration file.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let text = read_file(path)?;
    parse_beside(&text, path)
}

/// Checks a configuration's text; `name` stands for the file in error messages.
pub fn parse(text: &str, name: &str) -> Result<Config, ConfigErrors> {
    parse_named(text, name, Path::new(""))
}

/// Checks a configuration's text in which relative paths are relative to the directory of `file`.
pub fn parse_beside(text: &str, file: &Path) -> Result<Config, ConfigErrors> {
    parse_named(text, &file.display().to_string(), file.parent().unwrap_or_else(|| Path::new("")))
}

/// A text that was shown by [`Source::redacted`], and maybe changed, with the secrets of `live` put back. `name` stands
/// for the file in error messages.
pub fn restore_secrets(text: &str, live: Option<&Config>, name: &str) -> Result<Option<String>, ConfigErrors> {
    redact::restored(text, live.map(|live| live.source.text()), name)
}

/// Checks the text of a file of endpoints; `name` stands for it in error messages. `max_connections` is for those that do not
/// say it themselves.
pub fn parse_endpoints(text: &str, name: &str, max_connections: u32) -> Result<Vec<Endpoint>, ConfigErrors> {
    let (mut value, source) = parse_yaml(text, name)?;
    structure::write_out(&mut value);
    read_endpoints(value, max_connections).map_err(|mistakes| source.errors(mistakes))
}

/// Checks the text of one endpoint, as it stands in a cluster: an address, or a mapping with one. `name` stands for the text
/// in error messages.
pub fn parse_endpoint(text: &str, name: &str) -> Result<GivenEndpoint, ConfigErrors> {
    const ONLY: &str = "/endpoints/0";
    let (given, source) = parse_yaml(text, name)?;
    let has_own_bound = given.get("max_connections").is_some();
    let mut value = serde_json::json!({ "endpoints": [given.clone()] });
    structure::write_out(&mut value);
    let found = read_endpoints(value, 0).map_err(|mistakes| {
        let of_it = |(path, message): (String, String)| (path.replacen(ONLY, "", 1), message);
        source.errors(mistakes.into_iter().map(of_it))
    })?;
    let endpoint = found.into_iter().next().ok_or_else(|| ConfigErrors::whole(name, "an endpoint is needed".into()))?;
    Ok(GivenEndpoint { endpoint, has_own_bound, given })
}

/// Most endpoints that a plugin finds at once; the contract states it.
const MOST_FOUND: usize = 10_000;

/// Checks endpoints that a plugin has found, each as it stands in a cluster. The error is the first mistake.
pub fn check_endpoints(found: Vec<Value>, max_connections: u32) -> Result<Vec<Endpoint>, String> {
    if found.len() > MOST_FOUND {
        return Err(format!("{} endpoints, and {MOST_FOUND} are the most", found.len()));
    }
    let checked = read_endpoints(serde_json::json!({ "endpoints": found }), max_connections);
    checked.map_err(|mistakes| match mistakes.into_iter().next() {
        Some((path, message)) => format!("{}: {message}", path.trim_start_matches('/')),
        None => "not valid".to_owned(),
    })
}

fn read_endpoints(value: Value, max_connections: u32) -> Result<Vec<Endpoint>, Vec<structure::Mistake>> {
    match structure::read(value) {
        (Some(typed), of_structure) => check::check_endpoints(typed, of_structure, max_connections),
        (None, of_structure) => Err(of_structure),
    }
}

/// Reads a text of another form with the same care: YAML, unknown keys refused, every mistake with its line.
pub(crate) fn read<T: JsonSchema + DeserializeOwned>(text: &str, name: &str) -> Result<(T, Source), ConfigErrors> {
    let (mut value, source) = parse_yaml(text, name)?;
    structure::drop_nulls(&mut value);
    match structure::read(value) {
        (Some(typed), mistakes) if mistakes.is_empty() => Ok((typed, source)),
        (_, mistakes) => Err(source.errors(mistakes)),
    }
}

/// JSON Schema of the configuration, for editors.
pub fn json_schema() -> serde_json::Value {
    structure::schema_for_editors()
}

fn parse_named(text: &str, name: &str, directory: &Path) -> Result<Config, ConfigErrors> {
    let (mut value, source) = parse_yaml(text, name)?;
    structure::normalise(&mut value);
    match structure::read(value) {
        (Some(typed), of_structure) => check::check(typed, of_structure, source, directory),
        (None, of_structure) => Err(source.errors(of_structure)),
    }
}

fn parse_yaml(text: &str, name: &str) -> Result<(Value, Source), ConfigErrors> {
    if text.len() as u64 > MAX_BYTES {
        return Err(ConfigErrors::whole(name, format!("the text has {} bytes, the limit is {MAX_BYTES}", text.len())));
    }
    let parsed = yaml::parse(text).map_err(|error| ConfigErrors::new(name, vec![error]))?;
    Ok((parsed.value, Source::new(name, text, parsed.places)))
}
