//! `plimsoll plugin new`: a crate that builds and passes its tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};

use super::language::{Language, Other};
use crate::builtin::SDK;
use crate::cli::failure::Failure;
use crate::plugin::Plugin;

#[derive(Debug, Args)]
pub(crate) struct New {
    /// What the plugin decides.
    #[arg(long, value_enum)]
    role: RoleName,
    /// What it is written in. There are templates in others than Rust for balancers and routers.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// Name of the plugin and of the directory to write, such as `my-lb`.
    name: String,
    /// Directory of the SDK's source; the one that this program carries unless given, which is written to `vendor`.
    #[arg(long, value_name = "PATH")]
    sdk_path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Router,
    Balancer,
    Partitioner,
    Affinity,
    Health,
    Prober,
    Discovery,
}

impl New {
    pub(super) fn execute(self) -> Result<(), Failure> {
        if !Plugin::is_name(&self.name) {
            let text = format!("error: `{}` is no name for a plugin: expected [a-z][a-z0-9-]{{0,63}}", self.name);
            return Err(Failure::Usage(text));
        }
        let dir = Path::new(&self.name);
        if dir.exists() {
            return Err(anyhow!("{} exists already", dir.display()).into());
        }
        if let Some(language) = self.language.other() {
            return self.write_other(language, dir);
        }
        let sdk_path = match &self.sdk_path {
            Some(path) => {
                let path = path.canonicalize().with_context(|| format!("find the SDK at {}", path.display()))?;
                let path = path.to_str().context("the path of the SDK is not UTF-8")?;
                toml_string(path)
            }
            None => toml_string(VENDORED),
        };
        let Template { role, config, source, test } = self.role.template();
        let fill = |text: &str| {
            text.replace("{{name}}", &self.name)
                .replace("{{role}}", role)
                .replace("{{sdk}}", &format!("{{ path = {sdk_path} }}"))
                .replace("{{config}}", config)
                .replace("plugin_crate", &self.name.replace('-', "_"))
                .replace("PluginType", &type_name(&self.name))
        };
        for (file, text) in [
            ("Cargo.toml", include_str!("../templates/Cargo.toml.in")),
            ("README.md", include_str!("../templates/README.md.in")),
            ("plugin.toml", include_str!("../templates/plugin.toml.in")),
            (".gitignore", "target/\n"),
            ("src/lib.rs", source),
            ("tests/native.rs", test),
        ] {
            write(&dir.join(file), fill(text))?;
        }
        if self.sdk_path.is_none() {
            for (file, text) in SDK {
                write(&dir.join(VENDORED).join(file), text)?;
            }
        }
        println!("wrote {role} `{0}` to {0}/; next: cd {0}, cargo test, plimsoll plugin build", self.name);
        Ok(())
    }

    /// One that is made of the contract alone.
    fn write_other(&self, language: &Other, dir: &Path) -> Result<(), Failure> {
        let Template { role, config, .. } = self.role.template();
        let Some((_, source)) = language.sources.iter().find(|(of, _)| *of == role) else {
            let text = format!(
                "error: there is no template of a {role} in {}, only of: {}; see docs/PLUGINS.md",
                language.name,
                language.sources.iter().map(|(of, _)| *of).collect::<Vec<_>>().join(", ")
            );
            return Err(Failure::Usage(text));
        };
        let fill =
            |text: &str| text.replace("{{name}}", &self.name).replace("{{role}}", role).replace("{{config}}", config);
        let toml = ("plugin.toml", include_str!("../templates/plugin.toml.in"));
        for (file, text) in language.files.iter().chain(&[toml, (language.file, *source)]) {
            write(&dir.join(file), fill(text))?;
        }
        for (file, content) in language.bindings.iter().filter(|(file, _)| file.starts_with(role)) {
            write(&dir.join("bindings").join(file), content)?;
        }
        for (file, text) in SDK.iter().filter(|(file, _)| file.starts_with("wit/")) {
            write(&dir.join(file), text)?;
        }
        println!("wrote {role} `{0}` to {0}/; next: cd {0}, {1}plimsoll plugin build", self.name, language.next);
        Ok(())
    }
}

/// Where the SDK is in a plugin's directory.
const VENDORED: &str = "vendor/plimsoll-sdk";

fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
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
    /// What it is configured with in the tests of the suite, as TOML.
    config: &'static str,
    source: &'static str,
    test: &'static str,
}

macro_rules! template {
    ($role:literal, $config:literal) => {
        Template {
            role: $role,
            config: $config,
            source: include_str!(concat!("../templates/", $role, "/lib.rs")),
            test: include_str!(concat!("../templates/", $role, "/native.rs")),
        }
    };
}

impl RoleName {
    fn template(self) -> Template {
        match self {
            Self::Router => template!("router", "{ beta = \"new\", stable = \"old\" }"),
            Self::Balancer => template!("balancer", "{ burst = 3 }"),
            Self::Partitioner => template!("partitioner", "{ label = \"tier\", default = \"standard\" }"),
            Self::Affinity => template!("affinity", "{ header = \"x-session\" }"),
            Self::Health => template!("health", "{ slow = \"500ms\" }"),
            Self::Prober => template!("prober", "{ greeting = \"220 \" }"),
            Self::Discovery => template!("discovery", "{ cluster = \"registry\", path = \"/endpoints\" }"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        for name in ["a", "my-lb", "x1"] {
            assert!(Plugin::is_name(name), "{name}");
        }
        for name in ["", "My", "1a", "-a", "a_b", "a/b", "..", &"a".repeat(65)] {
            assert!(!Plugin::is_name(name), "{name}");
        }
        assert_eq!(type_name("my-lb2-x"), "MyLb2X");
    }
}
