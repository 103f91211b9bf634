use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::{self, Config};
use crate::{app, demo, telemetry};

/// With a configuration file, or with nothing but the addresses to balance over.
#[derive(Debug, Args)]
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
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080", conflicts_with = "config")]
    bind: SocketAddr,
    /// Where the admin API listens, together with --to.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9900", conflicts_with = "config")]
    admin: SocketAddr,
}

impl Run {
    pub(super) fn execute(self, log: &str, log_json: bool) -> Result<(), Failure> {
        let config = match &self.config {
            Some(file) => config::load(file),
            None => Config::to_targets(self.bind, self.admin, &self.to),
        };
        let config = config.map_err(|errors| Failure::Usage(errors.to_string()))?;
        let _tracing = telemetry::init_tracing(log, log_json).map_err(|error| Failure::Usage(error.to_string()))?;
        let file = self.config.map(|path| app::ConfigFile { path, watch: self.watch });
        run(config, file, |_| {})
    }
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
