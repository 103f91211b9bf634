//! `cargo xtask`: everything that is done to this repository, in Rust.

mod bench;
mod chaos;
mod contract;
mod demo;
mod dependencies;
mod fuzz;
mod gallery;
mod layers;
mod prerequisites;
mod release;
mod steps;
mod test;
mod unsteady;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Automation for Plimsoll", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the proxy with its plugins, and run it in front of three origins of its own.
    Demo {
        /// Passed on to `plimsoll demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the proxy as it is released: laid out by what it does under load.
    Release,
    /// Everything that is checked before a change lands.
    Test {
        /// Only these steps, by a part of their names.
        steps: Vec<String>,
    },
    /// Check which module of the host may use which, and every crate for circles of files.
    Layers,
    /// Feed what reads bytes from outside with what a fuzzer thinks of.
    Fuzz(fuzz::Fuzz),
    /// Have origins fail in every way while clients ask, and write what came of it into docs/RELIABILITY.md.
    Chaos(chaos::Chaos),
    /// Make the tables and pictures of docs/ALGORITHMS.md.
    Gallery,
    /// Measure, side by side with other proxies or by itself.
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Demo { arguments } => demo::run(&arguments),
        Task::Release => release::build().map(drop),
        Task::Test { steps } => test::check(&steps),
        Task::Layers => layers::check(&root()),
        Task::Fuzz(fuzz) => fuzz.run(),
        Task::Chaos(chaos) => chaos.run(),
        Task::Gallery => gallery::run(),
        Task::Bench(bench) => bench.run(release::build),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The top of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo, at the top of the repository.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command, which must succeed.
fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} did not start"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}
