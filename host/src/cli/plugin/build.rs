//! `plimsoll plugin build`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use plimsoll_componentize::{Build, build_guest};

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Directory of the plugin: a crate, or with a `build.sh`.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where to write the component; `components/NAME.wasm` in CARGO_TARGET_DIR, or `target` of the crate, unless given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Refuse to change the lock file.
    #[arg(long)]
    locked: bool,
}

impl BuildArgs {
    pub(super) fn execute(self) -> Result<()> {
        let build = Build { locked: self.locked, ..Build::default() };
        let dir = self.dir.canonicalize().with_context(|| format!("find {}", self.dir.display()))?;
        let component = build_guest(&dir, &target_dir(&dir)?, build)?;
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

/// Where cargo is to build: one directory for several plugins has the SDK compiled once for all.
pub(super) fn target_dir(dir: &Path) -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|named| !named.is_empty()) {
        Some(named) => std::path::absolute(named).context("find CARGO_TARGET_DIR"),
        None => Ok(dir.join("target")),
    }
}
