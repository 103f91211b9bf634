//! Measurements. Ratios against other proxies in the same run count; absolute times on a shared machine do not.

mod idle;
mod load;
mod machine;
mod peers;
mod probing;
mod report;
mod side_by_side;
mod training;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use training::train;

use crate::{cargo, run};

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Processor time per request of Plimsoll, nginx, HAProxy and Envoy, in interleaved rounds.
    Proxy(ProxyBench),
    /// What the probes of thousands of endpoints cost the control plane and the workers.
    Probing(probing::ProbingBench),
    /// Nanoseconds of each call into the built-in plugins.
    Plugins,
    /// What different shapes of the same call cost.
    Shapes,
}

#[derive(Debug, Args)]
pub(crate) struct ProxyBench {
    /// Rounds; each measures every proxy once.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of load for each measurement.
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Measure this binary, instead of building one as `cargo xtask release` does.
    #[arg(long, value_name = "FILE")]
    pub(crate) binary: Option<PathBuf>,
    /// Only the loads whose names contain this, such as `TLS`, or `idle` for the memory of idle connections.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// Print the table for a README.
    #[arg(long)]
    pub(crate) md: bool,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Proxy(bench) => side_by_side::measure(&bench),
            Self::Probing(bench) => probing::measure(&bench),
            Self::Plugins => micro("plugins"),
            Self::Shapes => micro("shapes"),
        }
    }
}

fn micro(name: &str) -> Result<()> {
    run(&mut cargo(&["run", "--release", "--package", "plimsoll-benches", "--", name]))
}
