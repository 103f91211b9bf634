//! Subcommands and exit codes: 0 done, 1 failed, 2 the configuration or the command line is wrong, 3 nothing can be said.

mod check;
mod completions;
mod failure;
mod plugin;
mod probe;
mod run;
mod simulate;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::failure::Failure;
use crate::telemetry::printable_lines;

/// A load-balancing proxy whose every decision is made by a sandboxed WebAssembly plugin.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll",
    version,
    about,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    /// What to log: error, warn, info, debug, trace, or per module as in `info,plimsoll::plugin=debug`.
    #[arg(long, global = true, default_value = "info", env = "PLIMSOLL_LOG", value_name = "FILTER")]
    log: String,
    /// Log as JSON.
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Run(run::Run),
    /// Check a configuration file and tell all its mistakes, with their lines.
    Check(check::Check),
    /// Run the proxy in front of three origins of its own, to look around.
    Demo(run::Demo),
    /// Make, build and look at plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Probe an endpoint once, and show what was said.
    Probe(probe::Probe),
    /// Compare balancers in simulated time, to choose one.
    Simulate(simulate::Simulate),
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Print completions for a shell.
    Completions(completions::Completions),
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(run) => run.execute(&cli.log, cli.log_json),
        Command::Demo(demo) => demo.execute(&cli.log, cli.log_json),
        Command::Check(check) => check.execute(),
        Command::Plugin(command) => command.execute(),
        Command::Probe(probe) => probe.execute(),
        Command::Simulate(simulate) => simulate.execute(),
        Command::Schema => print_schema(),
        Command::Completions(completions) => completions.execute(Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            eprintln!("{}", printable_lines(&text));
            ExitCode::from(2)
        }
        Err(Failure::Untested(text)) => {
            eprintln!("{}", printable_lines(&text));
            ExitCode::from(3)
        }
        Err(Failure::Other(error)) => {
            eprintln!("error: {}", printable_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn print_schema() -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(&crate::config::json_schema())?);
    Ok(())
}
