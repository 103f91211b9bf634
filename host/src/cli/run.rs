use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::config::{self, Config, HttpsNames};
use crate::{app, demo, net, telemetry};

/// Run the proxy, with a configuration file, or with nothing but the addresses to balance over.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Run {
    /// The configuration, YAML or JSON. SIGHUP reads it again.
    #[arg(short, long, value_name = "FILE", required_unless_present = "to", conflicts_with = "to")]
    config: Option<PathBuf>,
    /// Read the configuration again whenever its file changes. One that cannot be used changes nothing.
    #[arg(long, conflicts_with = "to")]
    watch: bool,
    /// Balance HTTP over these, without a configuration file. Can be given more than once. `https://HOST` speaks TLS.
    #[arg(long, value_name = "HOST:PORT")]
    to: Vec<String>,
    /// Where to listen, together with --to.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080", conflicts_with_all = ["config", "https"])]
    bind: SocketAddr,
    /// Where the admin API listens, together with --to.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9900", conflicts_with = "config")]
    admin: SocketAddr,
    #[command(flatten)]
    https: Https,
}

/// Where a certificate comes from without a configuration file.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTPS without a configuration file")]
struct Https {
    /// Serve this name by https, together with --to: on port 443, with a certificate that the proxy orders and renews by itself
    /// (ACME), while port 80 leads to https. The name has to lead here, and both ports have to be reached from outside. Can be
    /// given more than once. By this you agree to the terms of the authority, which is Let's Encrypt unless --acme-directory
    /// says otherwise.
    #[arg(long, value_name = "NAME", requires = "to", value_delimiter = ',')]
    https: Vec<String>,
    /// Where to listen for https. Can be given more than once. Default: port 443 of all addresses.
    #[arg(long, value_name = "IP:PORT", requires = "https")]
    https_bind: Vec<SocketAddr>,
    /// Where to listen for clients that ask in the clear, and for the authority. Can be given more than once. Default: port 80
    /// of all addresses.
    #[arg(long, value_name = "IP:PORT", requires = "https")]
    http_bind: Vec<SocketAddr>,
    /// An address by which the authority may reach you.
    #[arg(long, value_name = "EMAIL", requires = "https")]
    acme_email: Option<String>,
    /// URL of another authority.
    #[arg(long, value_name = "URL", requires = "https")]
    acme_directory: Option<String>,
    /// Take Let's Encrypt's authority for trying: nobody trusts its certificates, and its limits are wide.
    #[arg(long, requires = "https", conflicts_with = "acme_directory")]
    acme_staging: bool,
    /// Roots that the authority's own server is verified by, in PEM, for one of your own.
    #[arg(long, value_name = "FILE", requires = "https")]
    acme_ca_file: Option<PathBuf>,
    /// Where account, certificates and keys are kept. Default: `certificates` in $STATE_DIRECTORY, in
    /// $XDG_DATA_HOME/plimsoll or in ~/.local/share/plimsoll.
    #[arg(long, value_name = "DIRECTORY", requires = "https")]
    certificates_dir: Option<PathBuf>,
}

const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

const EXAMPLES: &str = "Examples:
  plimsoll run --config plimsoll.yaml --watch
  plimsoll run --to localhost:3000 --to localhost:3001
  plimsoll run --to localhost:3000 --https example.com
  plimsoll run --to localhost:3000 --https example.com,www.example.com --acme-staging

With --https, try --acme-staging first: it shows whether the name leads here and the ports are open, without meeting
the limits of certificates that count. Ports below 1024 take root, or once
  sudo setcap cap_net_bind_service=+ep $(command -v plimsoll)
What goes wrong is in the log, and in `curl localhost:9900/v1/certificates`.

Plugins are compiled once, and kept for the next start in $CACHE_DIRECTORY, $XDG_CACHE_HOME/plimsoll or ~/.cache/plimsoll.
PLIMSOLL_CACHE_DIR names another directory; empty, it keeps none.";

impl Run {
    pub(super) fn execute(self, log: &str, log_json: bool) -> Result<(), Failure> {
        let config = match &self.config {
            Some(file) => config::load(file),
            None if self.https.https.is_empty() => Config::to_targets(self.bind, self.admin, &self.to),
            None => Config::to_targets_by_https(&self.https.names()?, self.admin, &self.to),
        };
        let config = config.map_err(|errors| Failure::Usage(errors.to_string()))?;
        let _tracing = telemetry::init_tracing(log, log_json).map_err(|error| Failure::Usage(error.to_string()))?;
        let file = self.config.map(|path| app::ConfigFile { path, watch: self.watch });
        run(config, file, |_| {})
    }
}

impl Https {
    fn names(&self) -> Result<HttpsNames, Failure> {
        let bind = |given: &[SocketAddr], port| if given.is_empty() { everywhere(port) } else { given.to_vec() };
        Ok(HttpsNames {
            names: self.https.clone(),
            https: bind(&self.https_bind, 443),
            http: bind(&self.http_bind, 80),
            directory: if self.acme_staging { Some(STAGING.to_owned()) } else { self.acme_directory.clone() },
            email: self.acme_email.clone(),
            ca_file: self.acme_ca_file.clone(),
            certificates_dir: match &self.certificates_dir {
                Some(directory) => directory.clone(),
                // There is no configuration file beside which they could be.
                None => crate::io::data_directory().map(|data| data.join("certificates")).ok_or_else(|| {
                    Failure::Usage(
                        "error: there is no home directory; --certificates-dir says where to keep keys".into(),
                    )
                })?,
            },
        })
    }
}

/// Of both families, where the system has both.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    let has_ipv6 = net::can_listen((Ipv6Addr::LOCALHOST, 0).into()).is_ok();
    let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
    all.into_iter().filter(|address| has_ipv6 || address.is_ipv4()).map(|address| (address, port).into()).collect()
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the proxy listens.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// Where the admin API listens.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9900")]
    admin: SocketAddr,
}

impl Demo {
    pub(super) fn execute(self, log: &str, log_json: bool) -> Result<(), Failure> {
        let _tracing = telemetry::init_tracing(log, log_json).map_err(|error| Failure::Usage(error.to_string()))?;
        let origins = demo::Origins::start()?;
        let config = demo::config(self.bind, self.admin, &origins);
        let config = config.map_err(|errors| Failure::Usage(errors.to_string()))?;
        run(config, None, |status| println!("{}", demo::what_to_try(status)))
    }
}

fn run(config: Config, file: Option<app::ConfigFile>, live: impl FnOnce(&app::Addresses)) -> Result<(), Failure> {
    app::run(config, file, live).map_err(|error| match error {
        app::StartError::Config(error) => Failure::Usage(error.to_string()),
        app::StartError::Other(error) => Failure::Other(error),
    })
}
