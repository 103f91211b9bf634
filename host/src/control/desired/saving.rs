use std::path::Path;

use super::error::ApplyError;
use crate::config::{self, Config};
use crate::control::beside::beside;
use crate::control::rollout::Uses;
use crate::control::state::Control;
use crate::io::replace_file;

impl Control {
    /// Checks a configuration's text; relative paths in it are relative to the file that the proxy was started with, and
    /// secrets that were not shown are those that are live.
    pub fn parse(&self, text: &str) -> Result<Config, ApplyError> {
        let beside = self.config_file.as_deref().unwrap_or_else(|| Path::new("config"));
        let live = self.config();
        let restored = config::restore_secrets(text, live.as_deref(), &beside.display().to_string());
        restored
            .and_then(|restored| config::parse_beside(restored.as_deref().unwrap_or(text), beside))
            .map_err(ApplyError::from)
            .inspect_err(|error| self.refused("api", error))
    }

    /// Whether there is a file to [`save`](Self::save) to.
    pub fn can_save(&self) -> Result<(), ApplyError> {
        self.config_file.as_ref().map(|_| ()).ok_or(ApplyError::NoFile)
    }

    /// Whether a proxy that is started with a configuration would have the plugins that it has now.
    pub fn would_start_again(&self, config: &Config) -> Result<(), ApplyError> {
        let lost = self.not_kept(&Uses::of(config));
        if lost.is_empty() { Ok(()) } else { Err(ApplyError::NotKept(lost.join(", "))) }
    }

    /// Writes a configuration to the file that the proxy was started with: whole, or not at all.
    pub async fn save(&self, text: &str) -> Result<(), ApplyError> {
        let Some(path) = self.config_file.clone() else {
            return Err(ApplyError::NoFile);
        };
        let text = text.to_owned();
        let shown = path.display().to_string();
        let writing = beside("writing the configuration", move || replace_file(&path, text.as_bytes()));
        writing.await?.map_err(|error| ApplyError::Save { path: shown, error })
    }
}
