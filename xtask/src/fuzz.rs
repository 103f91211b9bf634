use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{root, run};

/// A fuzzer that runs for a day still finds things; one that runs for a minute finds what is easy.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Only these targets, by a part of their names.
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl Fuzz {
    /// Lets cargo-fuzz loose on the targets, one after the other. What it learns is kept in `target/fuzz`, and an input that
    /// a target does not survive is left in `fuzz/artifacts`.
    pub(crate) fn run(&self) -> Result<()> {
        let targets: Vec<String> = targets()?
            .into_iter()
            .filter(|name| self.targets.is_empty() || self.targets.iter().any(|wanted| name.contains(wanted.as_str())))
            .collect();
        if targets.is_empty() {
            bail!("there is no target of such a name in fuzz/fuzz_targets");
        }
        if !succeeds(cargo("stable").args(["fuzz", "--version"])) {
            run(cargo("stable").args(["install", "cargo-fuzz", "--locked"]))
                .context("cargo-fuzz cannot be installed")?;
        }
        // The versions that the proxy is made of, and the few more that the fuzzer needs.
        std::fs::copy(root().join("Cargo.lock"), root().join("fuzz/Cargo.lock"))?;
        let toolchain = toolchain()?;
        eprintln!("building {} targets on {toolchain}; the first time takes as long as a release build", targets.len());
        for target in &targets {
            run(fuzz(&toolchain, "build").arg(target))?;
        }
        let failed: Vec<&String> = targets.iter().filter(|target| self.one(&toolchain, target).is_err()).collect();
        if !failed.is_empty() {
            bail!(
                "not survived: {failed:?}; the inputs are in fuzz/artifacts, and belong into fuzz/corpus once mended"
            );
        }
        Ok(())
    }

    fn one(&self, toolchain: &str, target: &str) -> Result<()> {
        eprintln!("\n=== {target}, {} s", self.seconds);
        let learned = root().join("target/fuzz/corpus").join(target);
        std::fs::create_dir_all(&learned)?;
        // New inputs go into the first directory; the second one is kept as it is.
        let mut command = fuzz(toolchain, "run");
        command.arg(target).arg(learned).arg(root().join("fuzz/corpus").join(target));
        command.args(["--", "-timeout=10", "-rss_limit_mb=4096", "-max_len=16384", "-print_final_stats=1"]);
        run(command.arg(format!("-max_total_time={}", self.seconds)))
    }
}

fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path: PathBuf = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Nightly, if it is there and can build plugins, too; else stable, which can do all that is needed without sanitizers.
/// There is little for those: of what is fuzzed, one line is unsafe, and a test asks its parser about every byte
/// (`crates/http1/src/copied.rs`).
fn toolchain() -> Result<String> {
    for toolchain in ["nightly", "stable"] {
        let mut rustc = Command::new("rustup");
        rustc.args(["run", toolchain, "rustc", "--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
        let output = rustc.stderr(Stdio::null()).output().context("rustup is needed to choose a toolchain")?;
        let directory = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if output.status.success() && directory.is_dir() {
            return Ok(toolchain.to_owned());
        }
    }
    bail!("neither nightly nor stable has the target wasm32-unknown-unknown, which the plugins are built for")
}

/// cargo-fuzz, for a target that is named next.
fn fuzz(toolchain: &str, what: &str) -> Command {
    let mut command = cargo(toolchain);
    command.args(["fuzz", what, "--sanitizer", "none", "--fuzz-dir"]).arg(root().join("fuzz"));
    command.arg("--target-dir").arg(root().join("target/fuzz"));
    command
}

/// Of a toolchain, and not the one that runs this.
fn cargo(toolchain: &str) -> Command {
    let mut command = Command::new("cargo");
    command.arg(format!("+{toolchain}")).current_dir(root());
    for outer in ["CARGO", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(outer);
    }
    command
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
