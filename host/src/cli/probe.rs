use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::failure::Failure;
use crate::app;
use crate::config::{self, Config, PROBED, ProbeTarget};
use crate::health::{Step, Watcher};
use crate::telemetry::printable_lines;

/// Probe an endpoint once, and show what was said.
///
/// Without a configuration file, the scheme of the URL is the prober; what is behind it is the path for http, the service for
/// grpc, the name for dns. With one, the probe is that of a cluster, of all its endpoints or of one.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Probe {
    /// URL of the endpoint; with --config its id, or HOST:PORT.
    #[arg(value_name = "URL", required_unless_present = "config")]
    target: Option<String>,
    /// The configuration that has the cluster, YAML or JSON.
    #[arg(short, long, value_name = "FILE", requires = "cluster")]
    config: Option<PathBuf>,
    /// The cluster whose probe it is.
    #[arg(long, value_name = "NAME", requires = "config")]
    cluster: Option<String>,
    /// What the prober is configured with, as JSON.
    #[arg(long, value_name = "JSON", value_parser = object, conflicts_with = "config")]
    with: Option<Value>,
    /// Roots that the endpoint's certificate is verified by, in PEM, in the place of the system's.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    ca_file: Option<PathBuf>,
    /// Take any certificate.
    #[arg(long, conflicts_with_all = ["config", "ca_file"])]
    insecure: bool,
    /// How long the certificate has to be valid yet, as `14d`.
    #[arg(long, value_name = "TIME", conflicts_with = "config")]
    min_validity: Option<String>,
    /// A probe without a verdict by then has failed. Default: 2s.
    #[arg(long, value_name = "TIME", conflicts_with = "config")]
    timeout: Option<String>,
}

const EXAMPLES: &str = "Examples:
  plimsoll probe http://10.0.0.7:8080/health
  plimsoll probe https://example.com/ --min-validity 14d --with '{\"expect\":{\"status\":[200]}}'
  plimsoll probe redis://10.0.0.7 --with '{\"role\":\"primary\"}'
  plimsoll probe --config plimsoll.yaml --cluster api
  plimsoll probe --config plimsoll.yaml --cluster api 10.0.0.7:8080";

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("expected an object, such as {\"path\":\"/health\"}".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Probe {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let (file, cluster) = (self.config.clone(), self.cluster.clone());
        let (config, only) = match &file {
            Some(file) => (config::load(file), self.target),
            None => (Config::to_probe(&self.target()), None),
        };
        let config = config.map_err(|errors| Failure::Usage(errors.to_string()))?;
        let cluster = cluster.as_deref().unwrap_or(PROBED);
        let tried = app::probe(config, file.as_deref(), (cluster, only.as_deref()), &Shown)
            .map_err(|error| Failure::Usage(format!("error: {error}")))?;
        let mut failed = Vec::new();
        for probe in &tried {
            let (verdict, detail) = match &probe.result {
                Some(result) if result.passed => (format!("passed in {:?}", result.took), result.detail.as_str()),
                Some(result) => (format!("failed after {:?}", result.took), result.detail.as_str()),
                None => ("no verdict".to_owned(), "the prober itself failed"),
            };
            println!("{}: {verdict}: {}", printable_lines(&probe.endpoint), printable_lines(detail));
            if !probe.result.as_ref().is_some_and(|result| result.passed) {
                failed.push(probe.endpoint.as_str());
            }
        }
        match failed.len() {
            0 => Ok(()),
            _ => Err(Failure::Other(anyhow::anyhow!("{} of {} probes failed", failed.len(), tried.len()))),
        }
    }

    fn target(self) -> ProbeTarget {
        ProbeTarget {
            url: self.target.unwrap_or_default(),
            config: self.with,
            ca_file: self.ca_file,
            insecure_skip_verify: self.insecure,
            min_validity: self.min_validity,
            timeout: self.timeout,
        }
    }
}

/// Shows each step as it happens.
#[derive(Debug)]
struct Shown;

/// More of what is said at a time is not shown.
const MOST_SHOWN: usize = 1024;

impl Watcher for Shown {
    fn hear(&self, step: Step<'_>) {
        match step {
            Step::Connected => println!("* connected"),
            Step::Secured(handshake) => {
                let protocol = handshake.application_protocol.as_deref().unwrap_or("no protocol");
                println!("* {}, {}", handshake.version, shown(protocol.as_bytes()));
            }
            Step::Sent(bytes) => println!("> {}", shown(bytes)),
            Step::Received(bytes) => println!("< {}", shown(bytes)),
            Step::Closed => println!("* closed"),
            Step::Asked { method, path, headers } => {
                println!("> {} {}", shown(method.as_bytes()), shown(path.as_bytes()));
                show_fields('>', headers);
            }
            Step::Answered { status, headers, body } => {
                println!("< {status}");
                show_fields('<', headers);
                if !body.is_empty() {
                    println!("<\n< {}", shown(body));
                }
            }
        }
    }
}

fn show_fields(direction: char, fields: &[(String, Vec<u8>)]) {
    for (name, value) in fields {
        println!("{direction} {}: {}", shown(name.as_bytes()), shown(value));
    }
}

/// With what cannot be printed written out.
fn shown(bytes: &[u8]) -> String {
    let some = &bytes[..bytes.len().min(MOST_SHOWN)];
    let more = if bytes.len() > MOST_SHOWN { " …" } else { "" };
    format!("{}{more}", some.escape_ascii())
}
