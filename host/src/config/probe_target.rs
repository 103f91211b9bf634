use std::path::PathBuf;

use http::Uri;
use serde_json::{Value, json};

use super::errors::ConfigErrors;
use super::model::Config;
use super::parse;

/// What is to be probed without a configuration file.
#[derive(Clone, Debug, Default)]
pub struct ProbeTarget {
    /// Its scheme says which prober, as in `http://10.0.0.7:8080/health`.
    pub url: String,
    /// What the prober is configured with, over what follows from the URL.
    pub config: Option<Value>,
    pub ca_file: Option<PathBuf>,
    pub insecure_skip_verify: bool,
    /// As they stand in a configuration.
    pub min_validity: Option<String>,
    pub timeout: Option<String>,
}

/// What errors call the configuration of those who have no file.
const SOURCE: &str = "command line";
/// The cluster that has the target for an endpoint.
pub const PROBED: &str = "probed";

/// What a scheme stands for: the prober, the port unless it is given, and whether it is within TLS.
const SCHEMES: [(&str, &str, u16, bool); 16] = [
    ("dns", "dns", 53, false),
    ("grpc", "grpc", 80, false),
    ("grpcs", "grpc", 443, true),
    ("http", "http", 80, false),
    ("https", "http", 443, true),
    ("ldap", "ldap", 389, false),
    ("ldaps", "ldap", 636, true),
    ("memcached", "memcached", 11_211, false),
    ("mysql", "mysql", 3306, false),
    ("postgres", "postgres", 5432, false),
    ("postgresql", "postgres", 5432, false),
    ("redis", "redis", 6379, false),
    ("rediss", "redis", 6379, true),
    ("smtp", "smtp", 25, false),
    ("smtps", "smtp", 465, true),
    ("tls", "tls", 443, false),
];

impl Config {
    /// A configuration of one cluster that is probed, for those who have no file.
    pub fn to_probe(target: &ProbeTarget) -> Result<Self, ConfigErrors> {
        let wrong = |message: &str| ConfigErrors::whole(SOURCE, format!("`{}`: {message}", target.url));
        let url: Uri = target.url.parse().map_err(|_| wrong("expected a URL, such as http://10.0.0.7:8080/health"))?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(wrong("expected a URL, such as tcp://10.0.0.7:5000"));
        };
        if authority.as_str().contains('@') {
            return Err(wrong("credentials stand in the prober's configuration, not in the URL"));
        }
        let known = SCHEMES.iter().find(|(name, ..)| *name == scheme);
        let (plugin, within_tls) = known.map_or((scheme, false), |(_, plugin, _, tls)| (*plugin, *tls));
        let port = url.port_u16().or_else(|| known.map(|(_, _, port, _)| *port));
        let Some(port) = port else { return Err(wrong("the port is missing")) };
        let mut probe = json!({ "plugin": plugin, "config": configured(plugin, &url, target.config.as_ref()) });
        if within_tls || target.ca_file.is_some() || target.insecure_skip_verify {
            probe["own_tls"] = json!({
                "ca_file": target.ca_file,
                "insecure_skip_verify": target.insecure_skip_verify,
            });
        }
        for (key, value) in [("min_validity", &target.min_validity), ("timeout", &target.timeout)] {
            if let Some(value) = value {
                probe[key] = value.as_str().into();
            }
        }
        let text = json!({
            "listeners": [{ "name": PROBED, "bind": "127.0.0.1:0", "cluster": PROBED }],
            "clusters": [{
                "name": PROBED,
                "health": { "probe": probe },
                "endpoints": [format!("{}:{port}", authority.host())],
            }],
        });
        parse(&format!("{text:#}"), SOURCE)
    }
}

/// What follows from the path of the URL, and what is given over it.
fn configured(plugin: &str, url: &Uri, given: Option<&Value>) -> Value {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let name = path.trim_matches('/');
    let mut config = match (plugin, name.is_empty()) {
        ("http", _) => json!({ "path": path }),
        ("grpc", false) => json!({ "service": name }),
        ("dns", false) => json!({ "name": name }),
        _ => json!({}),
    };
    if let (Some(config), Some(given)) = (config.as_object_mut(), given.and_then(Value::as_object)) {
        config.extend(given.clone());
    }
    config
}
