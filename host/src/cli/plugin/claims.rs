//! `plugin.toml`: what a plugin claims to be, and what it is configured with to test it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::io::read_bounded;

/// Configurations by role.
pub(super) type Configuration = BTreeMap<String, Value>;

const FILE: &str = "plugin.toml";
const MOST_BYTES: u64 = 1 << 20;
const MOST_CONFIGURATIONS: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// Profiles of the suite.
    #[serde(default)]
    pub(super) profiles: Vec<String>,
    /// Each is a run of its own; one that configures nothing where there is none.
    #[serde(default)]
    pub(super) configurations: Vec<Configuration>,
}

impl Claims {
    /// From the file that stands beside a component, or in the crate whose `target/components` the component is in.
    pub(super) fn beside(component: &Path) -> Result<Self> {
        // Links are left alone: several crates may build in the same directory.
        let component = std::path::absolute(component).with_context(|| format!("find {}", component.display()))?;
        let dir = component.parent().unwrap_or(&component);
        let krate = dir.parent().filter(|target| dir.ends_with("target/components") && target.ends_with("target"));
        let places = [Some(dir), krate.and_then(Path::parent)];
        let file = places.into_iter().flatten().map(|place| place.join(FILE)).find(|file| file.is_file());
        file.map_or_else(|| Ok(Self::none()), |file| Self::read(&file))
    }

    /// Of the crate in a directory.
    pub(super) fn of_crate(dir: &Path) -> Result<Self> {
        let file: PathBuf = dir.join(FILE);
        if file.is_file() { Self::read(&file) } else { Ok(Self::none()) }
    }

    fn none() -> Self {
        Self { profiles: Vec::new(), configurations: vec![Configuration::new()] }
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let read = || Self::parse(std::str::from_utf8(&read_bounded(path, MOST_BYTES)?)?);
        read().with_context(|| format!("read {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut claims: Self = toml::from_str(text)?;
        if claims.configurations.len() > MOST_CONFIGURATIONS {
            bail!("more than {MOST_CONFIGURATIONS} configurations");
        }
        if claims.configurations.is_empty() {
            claims.configurations.push(Configuration::new());
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_and_configurations_are_read() {
        let text =
            "profiles = [\"balancer/weighted\"]\n[[configurations]]\nbalancer = { burst = 3 }\n[[configurations]]\n";
        let claims = Claims::parse(text).unwrap();
        assert_eq!(claims.profiles, ["balancer/weighted"]);
        assert_eq!(claims.configurations[0]["balancer"], serde_json::json!({"burst": 3}));
        assert!(claims.configurations[1].is_empty());
    }

    #[test]
    fn without_configurations_there_is_one_that_configures_nothing() {
        assert_eq!(Claims::parse("").unwrap().configurations, [Configuration::new()]);
        assert!(Claims::parse("profile = 1").is_err(), "unknown keys are refused");
    }
}
