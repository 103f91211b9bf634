use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::app;

/// Loads the plugins that the configuration names and lets them judge their part of it, but opens no socket.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration, YAML or JSON.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Check {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let config = crate::config::load(&self.file).map_err(|errors| Failure::Usage(errors.to_string()))?;
        let summary = app::check(config, &self.file).map_err(|error| Failure::Usage(error.to_string()))?;
        println!("{}: {summary}", self.file.display());
        Ok(())
    }
}
