use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::steps::Steps;
use crate::{cargo, contract, dependencies, layers, prerequisites, root, run, unsteady};

/// Everything that is checked before a change lands, or the steps whose names contain one of `wanted`. All in the dev
/// profile: a release build would take longer than the rest together.
pub(crate) fn check(wanted: &[String]) -> Result<()> {
    let mut steps = Steps::new(wanted);
    steps.step("prerequisites", prerequisites::ensure)?;
    steps.step("no built files are tracked", no_built_files)?;
    steps.step("dependencies: licences, sources, versions", || dependencies::check(&guest_workspaces()))?;
    steps.step("layers", || layers::check(&root()))?;
    steps.step("contract: fits what was built for it", || contract::check(&root().join("wit")))?;
    steps.step("format", format)?;
    steps.step("plugins: native tests", || in_guests(&["test", "--quiet", "--locked"]))?;
    steps.step("plugins: clippy", || {
        in_guests(&["clippy", "--quiet", "--locked", "--all-targets", "--", "-D", "warnings"])
    })?;
    steps.step("workspace: tests", unsteady::workspace_tests)?;
    steps.step("workspace: clippy", || {
        run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    })?;
    steps.step("workspace: documentation", documentation)?;
    steps.summary();
    Ok(())
}

/// The guest workspaces; they are not part of the root one, since they are built for another target.
fn guest_workspaces() -> Vec<PathBuf> {
    let mut found =
        ["plugins", "tests/guests", "tests/guests/wasi-clock", "benches/guests"].map(|path| root().join(path)).to_vec();
    let examples = std::fs::read_dir(root().join("examples/plugins")).into_iter().flatten().flatten();
    found.extend(examples.map(|entry| entry.path()));
    found.retain(|path| path.join("Cargo.toml").is_file());
    found.sort();
    found
}

fn format() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    for workspace in guest_workspaces().into_iter().chain([root().join("fuzz")]) {
        run(cargo(&["fmt", "--all", "--check"]).current_dir(workspace))?;
    }
    Ok(())
}

/// Links that lead nowhere are found by rustdoc alone.
fn documentation() -> Result<()> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Natively, in one target directory: the SDK and its dependencies are built once. Guests of tests and benches have no
/// native side.
fn in_guests(arguments: &[&str]) -> Result<()> {
    let is_only_guest = |path: &Path| path.iter().any(|part| part == "guests");
    for workspace in guest_workspaces().into_iter().filter(|path| !is_only_guest(path)) {
        let shown = workspace.strip_prefix(root()).unwrap_or(&workspace).display().to_string();
        eprintln!("--- {shown}");
        run(cargo(arguments).current_dir(workspace).env("CARGO_TARGET_DIR", root().join("target/plugins-native")))?;
    }
    Ok(())
}

fn no_built_files() -> Result<()> {
    let output = Command::new("git").args(["ls-files"]).current_dir(root()).output()?;
    let built: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        // What was built for a version of the contract is kept, since it must load for ever.
        .filter(|name| !name.starts_with("tests/fixtures/contract/"))
        .filter(|name| {
            Path::new(name).extension().is_some_and(|extension| {
                ["wasm", "cwasm", "so", "a", "o", "rlib"].iter().any(|built| extension == *built)
            })
        })
        .map(ToOwned::to_owned)
        .collect();
    if !built.is_empty() {
        bail!("built files are tracked: {}", built.join(", "));
    }
    Ok(())
}
