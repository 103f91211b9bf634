//! What calls into plugins cost. `shapes` compares ways to ask for the same decision, `plugins` measures the built-in
//! plugins through the host's own interface. See README.md.

// The raw results of all measurements describe the machine in the same words.
#[path = "../../xtask/src/bench/machine.rs"]
mod machine;
mod measure;
mod plugins;
mod report;
mod shapes;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};

// As the proxy: strings and lists that cross the boundary are allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "What calls into plugins cost", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
    /// Rounds; each measures everything once.
    #[arg(long, default_value_t = 41, global = true)]
    rounds: usize,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Bench {
    /// The same decision behind calls of different shapes.
    Shapes,
    /// The built-in plugins.
    Plugins,
}

fn main() -> Result<()> {
    let Cli { bench, rounds } = Cli::parse();
    match bench {
        Bench::Shapes => shapes::run(rounds),
        Bench::Plugins => plugins::run(rounds),
    }
}

/// The top of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
