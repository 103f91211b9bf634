//! `plimsoll plugin dev`: builds, tests and uploads a plugin whenever its sources change, and shows what becomes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use plimsoll_componentize::{Build, Component, build_guest};
use plimsoll_conformance::{Report, Selection, Settings};

use super::admin::Admin;
use super::build::target_dir;
use super::claims::Claims;
use super::print::print;
use super::test::reports;
use crate::cli::failure::Failure;
use crate::conformance;
use crate::control::signature_path;

/// Between two looks at the sources.
const PAUSE: Duration = Duration::from_millis(300);
const TEST_PATIENCE: Duration = Duration::from_secs(60);
/// How the names of sources end.
const SOURCES: [&str; 8] = ["c", "h", "js", "py", "rs", "sh", "toml", "wit"];
/// Files that are looked at; more are not those of a plugin.
const MOST_FILES: usize = 4096;

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Directory of the plugin: a crate, or with a `build.sh`.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Admin API of the proxy that the plugin is uploaded to, such as `http://127.0.0.1:9900`.
    #[arg(long, value_name = "URL")]
    to: http::Uri,
    /// Token of the admin API, if it has one.
    #[arg(long, env = "PLIMSOLL_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Name to upload it under; its own unless given.
    #[arg(long)]
    name: Option<String>,
    /// Secret key of minisign to sign it with, where the proxy asks for signatures (`plugin_keys`). The program `minisign` does it, and asks
    /// for the key's password each time if it has one (`minisign -C -W` takes it away).
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,
    /// Do it once and end, with the exit code 1 if it did not become live.
    #[arg(long)]
    once: bool,
}

impl Dev {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let dir = self.dir.canonicalize().with_context(|| format!("find {}", self.dir.display()))?;
        let admin = Admin::new(&self.to, self.token.clone()).map_err(|why| Failure::Usage(format!("error: {why}")))?;
        let mut seen = sources(&dir)?;
        let mut live = self.round(&dir, &admin);
        if self.once {
            return live.map(drop).map_err(Failure::from);
        }
        let mut follower = None;
        loop {
            match &live {
                Ok(name) if follower.is_none() => follower = Some(admin.follow(name.clone(), show)?),
                Ok(_) => {}
                Err(error) => print(&format!("error: {error:#}\n"))?,
            }
            seen = changed(&dir, seen)?;
            live = self.round(&dir, &admin);
        }
    }

    /// Builds, tests and uploads it. Answers the name that it is live under.
    fn round(&self, dir: &Path, admin: &Admin) -> Result<String> {
        let component = build(dir)?;
        print(&format!("built {} ({} bytes)\n", component.name, component.bytes.len()))?;
        let name = test(dir, &component)?;
        let name = self.name.clone().unwrap_or(name);
        let signature = match &self.secret_key {
            Some(key) => format!("?signature={}", percent_encoded(&sign(key, &component.path)?)),
            None => String::new(),
        };
        let answer = admin.send("PUT", &format!("/v1/plugins/{name}{signature}"), component.bytes)?;
        if !answer.status.is_success() {
            bail!("{} refuses it ({}): {}", self.to, answer.status, answer.text());
        }
        print(&format!("live as {name} at {}\n", self.to))?;
        Ok(name)
    }
}

/// Holds it against what an upload is held against, with the configurations of its `plugin.toml`. Answers what it calls itself.
fn test(dir: &Path, component: &Component) -> Result<String> {
    let settings =
        Settings { selection: Selection::Quick, file: component.path.display().to_string(), ..Settings::default() };
    let loaded = conformance::Component::load(&component.bytes).context("load what was built")?;
    let name = loaded.name();
    let reports = reports(loaded, &Claims::of_crate(dir)?, &settings, TEST_PATIENCE);
    let reports = reports.map_err(|failure| match failure {
        Failure::Usage(text) | Failure::Untested(text) => anyhow!(text),
        Failure::Other(error) => error,
    })?;
    if let Some(broken) = reports.iter().find(|report| !report.passed()) {
        bail!("it is not sound: {}\n{broken}", broken.broken().join(", "));
    }
    for untested in reports.iter().flat_map(Report::untested) {
        print(&format!("not tested: {untested}\n"))?;
    }
    print("tested, and nothing is broken\n")?;
    Ok(name)
}

/// What minisign writes about a file, which stays beside it.
fn sign(key: &Path, component: &Path) -> Result<String> {
    let mut minisign = Command::new("minisign");
    let signing = minisign.arg("-S").arg("-s").arg(key).arg("-m").arg(component).stdout(Stdio::null()).status();
    let status = signing.context("run minisign")?;
    ensure!(status.success(), "minisign has not signed {} ({status})", component.display());
    let beside = signature_path(component);
    fs::read_to_string(&beside).with_context(|| format!("read {}", beside.display()))
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What the proxy tells of a plugin.
fn show(line: &str) {
    // Whoever has closed standard output is told by the next round.
    let _ = print(&format!("{line}\n"));
}

fn build(dir: &Path) -> Result<Component> {
    build_guest(dir, &target_dir(dir)?, Build { quiet: true, ..Build::default() })
}

/// When each file was changed that the plugin is made of.
fn sources(dir: &Path) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(within) = left.pop() {
        for entry in fs::read_dir(&within).with_context(|| format!("read {}", within.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            if ["target", "node_modules", "__pycache__"].iter().any(|made| name == *made)
                || name.to_string_lossy().starts_with('.')
            {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && is_source(&entry.path()) {
                // One that is gone meanwhile was a change, too.
                let at = entry.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                found.insert(entry.path(), at);
            }
        }
        if found.len() > MOST_FILES {
            bail!("{} has more than {MOST_FILES} sources: is it the directory of a plugin?", dir.display());
        }
    }
    Ok(found)
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|kind| SOURCES.iter().any(|source| kind == *source))
}

/// Waits until the sources are others than these, and are left alone.
fn changed(dir: &Path, seen: BTreeMap<PathBuf, SystemTime>) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let mut before = seen.clone();
    loop {
        std::thread::sleep(PAUSE);
        let now = sources(dir)?;
        // An editor writes several files one after the other.
        if now != seen && now == before {
            return Ok(now);
        }
        before = now;
    }
}
