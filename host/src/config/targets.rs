use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::errors::ConfigErrors;
use super::model::Config;
use super::parse;

/// Names that are served by `https`, with certificates that are ordered.
#[derive(Clone, Debug)]
pub struct HttpsNames {
    pub names: Vec<String>,
    pub https: Vec<SocketAddr>,
    /// Where clients that ask in the clear are led to `https`.
    pub http: Vec<SocketAddr>,
    /// URL of the authority; none is the one that there is by default.
    pub directory: Option<String>,
    pub email: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub certificates_dir: PathBuf,
}

/// What errors call the configuration of those who have no file.
const SOURCE: &str = "command line";

impl Config {
    /// A configuration of one HTTP listener and one cluster, for those who have no file. Targets may be URLs without a path;
    /// to those of `https` TLS is spoken, which holds for all or none.
    pub fn to_targets(bind: SocketAddr, admin: SocketAddr, targets: &[String]) -> Result<Self, ConfigErrors> {
        let text = json!({
            "admin": { "bind": admin.to_string() },
            "listeners": [{ "name": "web", "bind": bind.to_string(), "cluster": "targets" }],
            "clusters": [cluster(targets)?],
        });
        parse(&format!("{text:#}"), SOURCE)
    }

    /// The same for names that are served by `https`, each with a certificate of its own. Whoever calls this has agreed to the
    /// authority's terms.
    pub fn to_targets_by_https(
        names: &HttpsNames,
        admin: SocketAddr,
        targets: &[String],
    ) -> Result<Self, ConfigErrors> {
        let port = names.https.first().map_or(443, SocketAddr::port);
        let tls = json!({ "acme": names.names, "uploaded": false });
        let text = json!({
            "admin": { "bind": admin.to_string() },
            "certificates_dir": names.certificates_dir,
            "acme": {
                "directory": names.directory,
                "email": names.email,
                "ca_file": names.ca_file,
                "terms_of_service_agreed": true,
            },
            "listeners": [
                { "name": "web", "bind": names.https, "cluster": "targets", "tls": tls },
                { "name": "redirect", "bind": names.http, "redirect_https": { "port": port } },
            ],
            "clusters": [cluster(targets)?],
        });
        parse(&format!("{text:#}"), SOURCE)
    }
}

fn cluster(targets: &[String]) -> Result<Value, ConfigErrors> {
    let read: Vec<(bool, String)> = targets.iter().map(|target| target_of(target)).collect();
    let over_tls = read.iter().any(|(over_tls, _)| *over_tls);
    if !read.iter().all(|(also, _)| *also == over_tls) {
        let message = "either all targets are `https://` or none".to_owned();
        return Err(ConfigErrors::whole(SOURCE, message));
    }
    let targets: Vec<&str> = read.iter().map(|(_, address)| address.as_str()).collect();
    let tls = over_tls.then(|| json!({}));
    Ok(json!({ "name": "targets", "tls": tls, "endpoints": targets }))
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
