//! The configuration: what users type (`schema`), and what it means (`model`), which only `check` makes from the first.
//! Every mistake is reported at once, with its path and line. Pure: nothing here opens a socket or asks a plugin.

mod address;
mod check;
mod errors;
mod file;
mod model;
mod network;
mod quantity;
mod redact;
mod reference;
mod schema;
mod socket;
mod source;
mod structure;
#[cfg(test)]
mod tests;
mod yaml;

use std::net::SocketAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use address::Address;
pub use errors::{ConfigError, ConfigErrors};
use file::MAX_BYTES;
pub(crate) use file::read_file;
pub use model::{
    AccessLog, AccessLogFormat, Admin, AdminBind, Certificate, ClientCertificates, Cluster, ClusterLimits,
    ClusterTimeouts, Config, Conformance, Destination, Discover, Endpoint, Forwarded, GivenEndpoint, HashKey, Health,
    KeyPair, Listener, ListenerLimits, ListenerTimeouts, LogOutput, NetworkPrefixes, PathPart, Plugin, PluginUse, Pool,
    Probe, Protocol, Queue, RedirectHttps, Resolver, SlowStart, StatePath, Tls, TlsPolicy, Underscores, Upgrades,
    UpstreamProtocol, UpstreamTls,
};
pub use network::{Network, Networks};
pub(crate) use quantity::FineSpan;
pub use redact::REDACTED;
pub use reference::reference_markdown;
#[cfg(test)]
pub(crate) use reference::reference_of;
pub use socket::{Afterlife, SocketKey, Transport};
pub use source::Source;

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

impl Config {
    /// A configuration of one HTTP listener and one cluster, for those who have no file. Targets may be URLs without a path;
    /// to those of `https` TLS is spoken, which holds for all or none.
    pub fn to_targets(bind: SocketAddr, admin: SocketAddr, targets: &[String]) -> Result<Self, ConfigErrors> {
        let read: Vec<(bool, String)> = targets.iter().map(|target| target_of(target)).collect();
        let over_tls = read.iter().any(|(over_tls, _)| *over_tls);
        if !read.iter().all(|(also, _)| *also == over_tls) {
            let message = "either all targets are `https://` or none".to_owned();
            return Err(ConfigErrors::whole("command line", message));
        }
        let targets: Vec<&str> = read.iter().map(|(_, address)| address.as_str()).collect();
        let tls = over_tls.then(|| serde_json::json!({}));
        let text = serde_json::json!({
            "admin": { "bind": admin.to_string() },
            "listeners": [{ "name": "web", "bind": bind.to_string(), "cluster": "targets" }],
            "clusters": [{ "name": "targets", "tls": tls, "endpoints": targets }],
        });
        parse(&format!("{text:#}"), "command line")
    }
}

/// Whether a target is to be reached over TLS, and its address: that of a URL, with the port of its scheme if it has none.
fn target_of(target: &str) -> (bool, String) {
    let (over_tls, rest) = match target.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        // What it cannot be is said where addresses are checked.
        _ => return (false, target.to_owned()),
    };
    let address = rest.strip_suffix('/').unwrap_or(rest);
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let port = if over_tls { 443 } else { 80 };
    (over_tls, if has_port { address.to_owned() } else { format!("{address}:{port}") })
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
