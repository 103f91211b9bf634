use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::component::{Component, component_from_module};
use crate::script::{SCRIPT, build_by_script};
use crate::target::{TARGET, ensure_target, without_outer_cargo};

/// The compiler's default of 1 MiB would make every instance begin with sixteen pages for a stack it never fills.
const STACK: &str = "-Clink-arg=-zstack-size=131072";

/// The linker writes every call and address with five bytes, for tools that would move them later, unless it is told that
/// none will. It asks for debug information to go then, which does not reach the component anyway.
const SMALL: [&str; 2] = ["-Clink-arg=--strip-debug", "-Clink-arg=--compress-relocations"];

/// A third of the time that profiles for plugins take, nearly all of which goes by in looking at all crates at once.
const SOON: [&str; 2] = ["profile.release.lto=\"off\"", "profile.release.codegen-units=16"];

/// How to build guests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Build {
    /// Refuse to change the lock file.
    pub locked: bool,
    /// Keep cargo quiet unless something goes wrong.
    pub quiet: bool,
    /// Soon done rather than small and fast: crates are compiled by themselves, whatever their profile says.
    pub soon: bool,
}

/// Builds the plugin in `dir`, a crate or what has a `build.sh`, and leaves the component in `target_dir/components`.
pub fn build_guest(dir: &Path, target_dir: &Path, build: Build) -> Result<Component> {
    if !dir.join("Cargo.toml").exists() && dir.join(SCRIPT).exists() {
        return build_by_script(dir, target_dir);
    }
    let mut components = compile(dir, target_dir, build, &[])?;
    match components.len() {
        1 => Ok(components.remove(0)),
        0 => bail!("{} has no crate with `crate-type = [\"cdylib\"]`, which a plugin needs", dir.display()),
        _ => {
            let names: Vec<_> = components.iter().map(|c| c.name.as_str()).collect();
            bail!("{} holds several plugins ({}): name the directory of one", dir.display(), names.join(", "))
        }
    }
}

/// Builds all plugin crates of the workspace in `dir` with one call of cargo, and leaves the components in
/// `target_dir/components`. In ascending order of names.
pub fn build_workspace(dir: &Path, target_dir: &Path, build: Build) -> Result<Vec<Component>> {
    let mut components = compile(dir, target_dir, build, &["--workspace"])?;
    components.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(components)
}

fn compile(dir: &Path, target_dir: &Path, build: Build, arguments: &[&str]) -> Result<Vec<Component>> {
    ensure_target(dir)?;
    let mut command = cargo();
    command
        .args(["build", "--lib", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .args(arguments)
        .arg("--target-dir")
        .arg(target_dir)
        .arg("--config")
        .arg(format!("target.{TARGET}.rustflags={:?}", flags(dir, build.locked)?))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if build.locked {
        command.arg("--locked");
    }
    if build.quiet {
        command.arg("--quiet");
    }
    if build.soon {
        command.args(SOON.iter().flat_map(|setting| ["--config", setting]));
    }
    let output = command.output().context("run cargo")?;
    ensure!(output.status.success(), "cargo could not build the plugins in {} ({})", dir.display(), output.status);

    let destination = target_dir.join("components");
    fs::create_dir_all(&destination).with_context(|| format!("create {}", destination.display()))?;
    let modules = modules(&output.stdout)?.into_iter();
    modules.map(|(name, module)| componentize(&name, &module, &destination)).collect()
}

/// For the compiler. Panics name files: by the same short paths on every machine, wherever the sources are.
fn flags(dir: &Path, locked: bool) -> Result<Vec<String>> {
    let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    let sources = sources_of_dependencies(&dir, locked).into_iter().chain(dir.parent().map(Path::to_owned));
    let remap = sources.map(|prefix| format!("--remap-path-prefix={}=", prefix.display()));
    Ok([STACK].into_iter().chain(SMALL).map(str::to_owned).chain(remap).collect())
}

/// The directories in which cargo has the sources of crates that come from elsewhere: one for each registry, or where they
/// are vendored. cargo fetches what is not there yet. None where it cannot tell: what is wrong then it says when it builds.
fn sources_of_dependencies(dir: &Path, locked: bool) -> BTreeSet<PathBuf> {
    let mut command = cargo();
    command.args(["metadata", "--format-version=1", "--filter-platform", TARGET]);
    if locked {
        command.arg("--locked");
    }
    let told = command.current_dir(dir).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let told = told.ok().and_then(|output| serde_json::from_slice::<Value>(&output.stdout).ok()).unwrap_or_default();
    let packages = told["packages"].as_array().into_iter().flatten();
    let manifests =
        packages.filter(|package| package["source"].is_string()).filter_map(|p| p["manifest_path"].as_str());
    manifests.filter_map(|manifest| Some(Path::new(manifest).parent()?.parent()?.to_owned())).collect()
}

fn cargo() -> Command {
    without_outer_cargo(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))))
}

fn componentize(name: &str, module: &Path, destination: &Path) -> Result<Component> {
    let core = fs::read(module).with_context(|| format!("read {}", module.display()))?;
    let bytes = component_from_module(&core).with_context(|| format!("plugin `{name}`"))?;
    Component::write(name, bytes, destination)
}

/// Crate names and files of the modules that cargo says it made.
fn modules(messages: &[u8]) -> Result<Vec<(String, PathBuf)>> {
    let mut modules = Vec::new();
    for line in messages.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"{")) {
        let message: Value = serde_json::from_slice(line).context("read what cargo says")?;
        let is_plugin = message["reason"] == "compiler-artifact"
            && message["target"]["crate_types"].as_array().is_some_and(|types| types.iter().any(|t| t == "cdylib"));
        if !is_plugin {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from);
        let module = files.filter(|file| file.extension().is_some_and(|e| e == "wasm"));
        let name = crate_name(&message).context("cargo did not say which crate a module belongs to")?;
        modules.extend(module.map(|file| (name.to_owned(), file)));
    }
    Ok(modules)
}

/// The name of the package: the target's name has underscores for its hyphens.
fn crate_name(message: &Value) -> Option<&str> {
    // path+file:///somewhere/name#0.1.0, or path+file:///somewhere#name@0.1.0
    let id = message["package_id"].as_str()?;
    let (source, fragment) = id.rsplit_once('#')?;
    match fragment.split_once('@') {
        Some((name, _)) => Some(name),
        None => source.rsplit('/').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_dependencies_are_where_cargo_says() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let sources = sources_of_dependencies(&plugins, true);
        assert!(!sources.is_empty() && sources.iter().all(|source| source.is_dir()), "{sources:?}");
    }

    #[test]
    fn modules_are_read_from_what_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","package_id":"path+file:///p/round-robin#0.1.0","target":{"crate_types":["cdylib","rlib"]},"filenames":["/t/round_robin.wasm","/t/libround_robin.rlib"]}
{"reason":"compiler-artifact","package_id":"path+file:///p/lb#my-lb@0.1.0","target":{"crate_types":["cdylib"]},"filenames":["/t/my_lb.wasm"]}
{"reason":"compiler-artifact","package_id":"registry+https://x/index#serde@1.0.0","target":{"crate_types":["lib"]},"filenames":["/t/libserde.rlib"]}
{"reason":"build-finished","success":true}
"#;
        let expected = [("round-robin", "/t/round_robin.wasm"), ("my-lb", "/t/my_lb.wasm")];
        assert_eq!(modules(messages.as_bytes()).unwrap(), expected.map(|(n, f)| (n.to_owned(), PathBuf::from(f))));
    }
}
