//! `plimsoll plugin`: begin a plugin, build it, look into one, export one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use plimsoll_componentize::{Build, build_guest};
use plimsoll_conformance::{Selection, Settings};

use super::failure::Failure;
use crate::builtin;
use crate::conformance::Component;
use crate::plugin::{Inspection, inspect};
use crate::telemetry::printable_lines;

/// Make, build and look at plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Begin a plugin: a crate that builds and passes its own tests.
    New(New),
    /// Compile a plugin crate to a component.
    Build(BuildArgs),
    /// Show what a component is: roles, imports, size, digest and configuration.
    Inspect(Inspect),
    /// Write the component of a plugin that ships with the proxy to a file, to look into it or to build upon it.
    Export(Export),
    /// Hold a component against the conformance suite: what must be true of every plugin of its roles.
    Test(Test),
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// What the plugin decides.
    #[arg(long, value_enum)]
    role: RoleName,
    /// Name of the plugin and of the directory to write, such as `my-lb`.
    name: String,
    /// Directory of the SDK's source; the published SDK unless given.
    #[arg(long, value_name = "PATH")]
    sdk_path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// Directory of the plugin crate.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where to write the component; `target/components/NAME.wasm` unless given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Refuse to change the lock file.
    #[arg(long)]
    locked: bool,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The component.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Name of a built-in plugin, such as `rules`.
    name: String,
    /// Where to write it; `-` is standard output. `NAME.wasm` unless given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The component.
    file: PathBuf,
    /// What to hold it against: `auto` for what is true of every plugin of its roles and what it shows itself to be, `full`
    /// for the same with more steps, `quick` for what an upload is held against, or what it claims to be, such as
    /// `balancer/weighted,balancer/smooth`.
    #[arg(long, default_value = "auto", value_name = "PROFILES")]
    profile: Selection,
    /// Configuration of the policies under test, as JSON; `{}` unless given.
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// Where the random numbers begin; the same seed gives the same report.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Random steps that a property takes.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    steps: Option<u32>,
    /// Only this property, such as `B1`. May be repeated.
    #[arg(long, value_name = "ID", value_parser = property_id)]
    only: Vec<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn property_id(id: &str) -> Result<String, String> {
    let mut known = plimsoll_conformance::properties().map(|(id, _)| id);
    if known.by_ref().any(|known| known == id) {
        return Ok(id.to_owned());
    }
    let ids: Vec<&str> = plimsoll_conformance::properties().map(|(id, _)| id).collect();
    Err(format!("expected one of {}", ids.join(", ")))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Router,
    Balancer,
    Partitioner,
    Affinity,
    Health,
    Prober,
    Filter,
}

impl PluginCommand {
    pub(super) fn execute(self) -> Result<(), Failure> {
        match self {
            Self::New(new) => new.execute(),
            Self::Build(build) => Ok(build.execute()?),
            Self::Inspect(inspect) => Ok(inspect.execute()?),
            Self::Export(export) => export.execute(),
            Self::Test(test) => test.execute(),
        }
    }
}

impl New {
    fn execute(self) -> Result<(), Failure> {
        if !is_plugin_name(&self.name) {
            let text = format!("error: `{}` is no name for a plugin: expected [a-z][a-z0-9-]{{0,63}}", self.name);
            return Err(Failure::Usage(text));
        }
        let dir = Path::new(&self.name);
        if dir.exists() {
            return Err(anyhow!("{} exists already", dir.display()).into());
        }
        let sdk = match &self.sdk_path {
            Some(path) => {
                let path = path.canonicalize().with_context(|| format!("find the SDK at {}", path.display()))?;
                let path = path.to_str().context("the path of the SDK is not UTF-8")?;
                format!("{{ path = {} }}", toml_string(path))
            }
            None => "\"0.1\"".to_owned(),
        };
        let Template { role, source, test } = self.role.template();
        let fill = |text: &str| {
            text.replace("{{name}}", &self.name)
                .replace("{{role}}", role)
                .replace("{{sdk}}", &sdk)
                .replace("plugin_crate", &self.name.replace('-', "_"))
                .replace("PluginType", &type_name(&self.name))
        };
        for (file, text) in [
            ("Cargo.toml", include_str!("templates/Cargo.toml.in")),
            ("README.md", include_str!("templates/README.md.in")),
            (".gitignore", "target/\n"),
            ("src/lib.rs", source),
            ("tests/native.rs", test),
        ] {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap_or(dir)).with_context(|| format!("create {}", dir.display()))?;
            fs::write(&path, fill(text)).with_context(|| format!("write {}", path.display()))?;
        }
        println!("wrote {role} `{0}` to {0}/; next: cd {0}, cargo test, plimsoll plugin build", self.name);
        Ok(())
    }
}

impl BuildArgs {
    fn execute(self) -> Result<()> {
        let build = Build { locked: self.locked, ..Build::default() };
        let dir = self.dir.canonicalize().with_context(|| format!("find {}", self.dir.display()))?;
        let component = build_guest(&dir, &dir.join("target"), build)?;
        let path = match self.output {
            Some(output) => {
                fs::write(&output, &component.bytes).with_context(|| format!("write {}", output.display()))?;
                output
            }
            None => component.path,
        };
        println!("{} ({} bytes)", path.display(), component.bytes.len());
        Ok(())
    }
}

impl Inspect {
    fn execute(self) -> Result<()> {
        let bytes = fs::read(&self.file).with_context(|| format!("read {}", self.file.display()))?;
        let inspection = inspect(&bytes).with_context(|| format!("load {}", self.file.display()))?;
        let text = if self.json {
            serde_json::to_string_pretty(&inspection).context("write JSON")? + "\n"
        } else {
            describe(&inspection)
        };
        print(&text)
    }
}

impl Export {
    fn execute(self) -> Result<(), Failure> {
        let found = builtin::PLUGINS.iter().find(|(name, _)| *name == self.name);
        let Some((name, bytes)) = found else {
            let known: Vec<&str> = builtin::PLUGINS.iter().map(|(name, _)| *name).collect();
            let text =
                format!("error: no built-in plugin of the name `{}`; there are: {}", self.name, known.join(", "));
            return Err(Failure::Usage(text));
        };
        let path = self.output.unwrap_or_else(|| PathBuf::from(format!("{name}.wasm")));
        if path.as_os_str() == "-" {
            return Ok(std::io::stdout().write_all(bytes).context("write to standard output")?);
        }
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        println!("{} ({} bytes)", path.display(), bytes.len());
        Ok(())
    }
}

/// Not `println!`: whoever reads may stop early, as `head` does.
fn print(text: &str) -> Result<()> {
    // Some of it is what a component says of itself.
    let text = printable_lines(text);
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
}

impl Test {
    fn execute(self) -> Result<(), Failure> {
        if let Some(config) = &self.config
            && let Err(error) = serde_json::from_str::<serde_json::Value>(config)
        {
            return Err(Failure::Usage(format!("error: the configuration is not JSON: {error}")));
        }
        let bytes = fs::read(&self.file).with_context(|| format!("read {}", self.file.display()))?;
        let component = Component::load(&bytes).with_context(|| format!("load {}", self.file.display()))?;
        if let Some(profile) = self.profile.misfit(&component.roles()) {
            let roles = component.roles().join(", ");
            return Err(Failure::Usage(format!(
                "error: profile {profile} is not for a plugin whose roles are: {roles}"
            )));
        }
        let report = component.run(&Settings {
            seed: self.seed,
            config: self.config,
            selection: self.profile,
            steps: self.steps,
            only: self.only,
            time: None,
            file: self.file.to_string_lossy().into_owned(),
        });
        let json = serde_json::to_string_pretty(&report).context("write JSON")? + "\n";
        print(&if self.json { json.clone() } else { format!("{report}\n") })?;
        if let Some(path) = self.report {
            fs::write(&path, json).with_context(|| format!("write {}", path.display()))?;
        }
        if !report.passed() {
            return Err(anyhow!("{} is not sound: {}", self.file.display(), report.broken().join(", ")).into());
        }
        Ok(())
    }
}

fn describe(inspection: &Inspection) -> String {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let mut text = format!(
        "{} {}\n{}\n\nroles    {}\nimports  {}\nsize     {} bytes\nsha256   {}\n",
        inspection.name,
        inspection.version,
        inspection.summary,
        list(&inspection.roles),
        list(&inspection.imports),
        inspection.size_bytes,
        inspection.digest,
    );
    for (role, schema) in &inspection.config_schemas {
        text += &format!("\nconfiguration as {role}:\n{schema:#}\n");
    }
    text
}

/// What the contract says of names.
fn is_plugin_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `my-lb` becomes `MyLb`.
fn type_name(name: &str) -> String {
    let capitalized = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    name.split('-').filter(|word| !word.is_empty()).map(capitalized).collect()
}

fn toml_string(text: &str) -> String {
    // JSON's escapes are TOML's.
    serde_json::Value::from(text).to_string()
}

struct Template {
    role: &'static str,
    source: &'static str,
    test: &'static str,
}

macro_rules! template {
    ($role:literal) => {
        Template {
            role: $role,
            source: include_str!(concat!("templates/", $role, "/lib.rs")),
            test: include_str!(concat!("templates/", $role, "/native.rs")),
        }
    };
}

impl RoleName {
    fn template(self) -> Template {
        match self {
            Self::Router => template!("router"),
            Self::Balancer => template!("balancer"),
            Self::Partitioner => template!("partitioner"),
            Self::Affinity => template!("affinity"),
            Self::Health => template!("health"),
            Self::Prober => template!("prober"),
            Self::Filter => template!("filter"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        for name in ["a", "my-lb", "x1"] {
            assert!(is_plugin_name(name), "{name}");
        }
        for name in ["", "My", "1a", "-a", "a_b", "a/b", "..", &"a".repeat(65)] {
            assert!(!is_plugin_name(name), "{name}");
        }
        assert_eq!(type_name("my-lb2-x"), "MyLb2X");
    }
}
