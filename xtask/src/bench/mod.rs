//! Measurements. Ratios against other proxies in the same run count; absolute times on a shared machine do not.

mod configs;
mod idle;
mod load;
mod machine;
mod peers;
mod probing;
mod report;
mod side_by_side;
mod training;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;

pub(crate) use training::train;

use crate::{cargo, run};

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Processor time per request of Plimsoll, nginx, HAProxy and Envoy, in interleaved rounds.
    Proxy(side_by_side::ProxyBench),
    /// What the probes of thousands of endpoints cost the control plane and the workers.
    Probing(probing::ProbingBench),
    /// Nanoseconds of each call into the built-in plugins.
    Plugins,
    /// What different shapes of the same call cost.
    Shapes,
}

impl Bench {
    /// `release` makes the binary that is measured, unless another one is to be.
    pub(crate) fn run(self, release: fn() -> Result<PathBuf>) -> Result<()> {
        let binary = |wanted: &Option<PathBuf>| match wanted {
            Some(binary) => binary.canonicalize().with_context(|| format!("no binary {}", binary.display())),
            None => release(),
        };
        match self {
            Self::Proxy(bench) => side_by_side::measure(&bench, &binary(&bench.binary)?),
            Self::Probing(bench) => probing::measure(&bench, &binary(&bench.binary)?),
            Self::Plugins => micro("plugins"),
            Self::Shapes => micro("shapes"),
        }
    }
}

fn micro(name: &str) -> Result<()> {
    run(&mut cargo(&["run", "--release", "--package", "plimsoll-benches", "--", name]))
}
