//! `plimsoll plugin test`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use plimsoll_conformance::{Report, Selection, Settings};
use serde_json::Value;

use super::claims::{Claims, Configuration};
use super::print::print;
use super::progress::{self, watched};
use crate::cli::failure::Failure;
use crate::conformance::Component;
use crate::plugin::{Grants, Limits};

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The component.
    file: PathBuf,
    /// What to hold it against: `auto` for what is true of every plugin of its roles and what it shows itself to be, `full`
    /// for the same with more steps, `quick` for what an upload is held against, or what it claims to be, such as
    /// `balancer/weighted,balancer/smooth`. What it claims in its manifest or in `plugin.toml` is held to in any case.
    #[arg(long, default_value = "auto", value_name = "PROFILES")]
    profile: Selection,
    /// Configuration of the policies under test, as JSON; those of `plugin.toml` beside the component, or `{}`, unless given.
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// The file with claims and configurations; `plugin.toml` beside the component, or in the crate that it was built in, unless
    /// given.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Memory of an instance, as `limits.memory` has it.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<usize>,
    /// What it may import, with commas between, as `grants` has it; everything unless given.
    #[arg(long, value_delimiter = ',', value_name = "GRANTS", value_parser = grant)]
    grants: Option<Vec<String>>,
    /// Where the random numbers begin; the same seed gives the same report.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Random steps that a property takes.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    steps: Option<u32>,
    /// Only this property, such as `B1`. May be repeated.
    #[arg(long, value_name = "ID", value_parser = property_id)]
    only: Vec<String>,
    /// Seconds that each configuration may take. What there is no time for is not tested, and the exit code is 3.
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time: u64,
    /// Print the report as JSON; several of them, with several configurations, as a list.
    #[arg(long)]
    json: bool,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn size(text: &str) -> Result<usize, String> {
    crate::config::parse_size(text)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes >= 1 << 16)
        .ok_or_else(|| "expected a number of bytes from 64KiB on, such as 10MiB".to_owned())
}

fn grant(name: &str) -> Result<String, String> {
    if Grants::ALL.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("expected some of {}", Grants::ALL.join(", ")))
}

fn property_id(id: &str) -> Result<String, String> {
    let mut known = plimsoll_conformance::properties().map(|(id, _)| id);
    if known.by_ref().any(|known| known == id) {
        return Ok(id.to_owned());
    }
    let ids: Vec<&str> = plimsoll_conformance::properties().map(|(id, _)| id).collect();
    Err(format!("expected one of {}", ids.join(", ")))
}

impl Test {
    pub(super) fn execute(self) -> Result<(), Failure> {
        if let Some(config) = &self.config
            && let Err(error) = serde_json::from_str::<Value>(config)
        {
            return Err(Failure::Usage(format!("error: the configuration is not JSON: {error}")));
        }
        let bytes = fs::read(&self.file).with_context(|| format!("read {}", self.file.display()))?;
        let claims = match &self.manifest {
            Some(path) => Claims::read(path),
            None => Claims::beside(&self.file),
        };
        let mut claims = claims.map_err(|error| Failure::Usage(format!("error: {error:#}")))?;
        if self.config.is_some() {
            claims.configurations = vec![Configuration::new()];
        }
        let component = Component::load_with(&bytes, self.grants(), self.limits())
            .with_context(|| format!("load {}", self.file.display()))?;
        if let Some(profile) = self.profile.misfit(&component.roles()) {
            let roles = component.roles().join(", ");
            let text = format!("error: profile {profile} is not for a plugin whose roles are: {roles}");
            return Err(Failure::Usage(text));
        }
        let reports = reports(component, &claims, &self.settings(), Duration::from_secs(self.time))?;
        self.tell(&reports)?;
        verdict(&self.file, &reports)
    }

    fn grants(&self) -> Grants {
        self.grants.as_ref().map_or_else(Grants::everything, Grants::new)
    }

    fn limits(&self) -> Limits {
        let limits = Limits::default();
        Limits { memory_bytes: self.memory.unwrap_or(limits.memory_bytes), ..limits }
    }

    fn settings(&self) -> Settings {
        Settings {
            seed: self.seed,
            config: self.config.clone(),
            selection: self.profile.clone(),
            steps: self.steps,
            only: self.only.clone(),
            time: None,
            file: self.file.to_string_lossy().into_owned(),
            began: Some(progress::began),
        }
    }

    fn tell(&self, reports: &[Report]) -> Result<()> {
        let json = match reports {
            [report] => serde_json::to_string_pretty(report),
            reports => serde_json::to_string_pretty(reports),
        };
        let json = json.context("write JSON")? + "\n";
        let texts: Vec<String> = reports.iter().map(|report| format!("{report}\n")).collect();
        print(&if self.json { json.clone() } else { texts.join("\n") })?;
        if let Some(path) = &self.report {
            fs::write(path, json).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Holds a component against the suite, with each of the configurations of its claims.
pub(super) fn reports(
    component: Component,
    claims: &Claims,
    settings: &Settings,
    time: Duration,
) -> Result<Vec<Report>, Failure> {
    let mut component = component.claiming(&claims.profiles);
    let mut reports = Vec::new();
    for configuration in &claims.configurations {
        if let Some(role) = configuration.keys().find(|role| !component.roles().contains(role)) {
            let roles = component.roles().join(", ");
            return Err(Failure::Usage(format!("error: a configuration for `{role}`, and the roles are: {roles}")));
        }
        component = component.configured(configuration).until(Instant::now() + time);
        reports.push(watched(|| component.run(settings)));
    }
    Ok(reports)
}

/// What the reports come to.
fn verdict(file: &Path, reports: &[Report]) -> Result<(), Failure> {
    let mut broken: Vec<&str> = reports.iter().flat_map(Report::broken).collect();
    broken.dedup();
    if !broken.is_empty() {
        return Err(anyhow!("{} is not sound: {}", file.display(), broken.join(", ")).into());
    }
    let untested: Vec<String> = reports.iter().flat_map(Report::untested).collect();
    if untested.is_empty() {
        return Ok(());
    }
    Err(Failure::Untested(format!("{}: nothing can be said: {}", file.display(), untested.join("; "))))
}
