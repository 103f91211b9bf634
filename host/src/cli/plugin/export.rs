//! `plimsoll plugin export` and `plimsoll plugin wit`: what is shipped, to look at and to build upon.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::print::print;
use crate::cli::failure::Failure;
use crate::{builtin, config};

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Name of a built-in plugin, such as `rules`.
    name: String,
    /// Where to write it; `-` is standard output. `NAME.wasm` unless given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Wit {
    /// Directory to write the files to, for bindings generators; they are printed unless given.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Wit {
    pub(super) fn execute(self) -> Result<()> {
        let files = builtin::SDK.iter().filter_map(|(path, text)| Some((path.strip_prefix("wit/")?, *text)));
        let Some(dir) = self.output else {
            let texts: Vec<String> = files.map(|(file, text)| format!("// {file}\n\n{text}")).collect();
            return print(&texts.join("\n"));
        };
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        for (file, text) in files {
            let path = dir.join(file);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            println!("{}", path.display());
        }
        Ok(())
    }
}

impl Export {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let found = builtin::PLUGINS.iter().find(|(name, _)| *name == self.name);
        let Some((name, bytes)) = found else {
            let known: Vec<&str> = builtin::PLUGINS.iter().map(|(name, _)| *name).collect();
            let hint = match config::similar(&self.name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are: {}", known.join(", ")),
            };
            return Err(Failure::Usage(format!("error: no built-in plugin of the name `{}`; {hint}", self.name)));
        };
        let path = self.output.unwrap_or_else(|| PathBuf::from(format!("{name}.wasm")));
        if path.as_os_str() == "-" {
            return Ok(std::io::stdout().write_all(bytes).context("write to standard output")?);
        }
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        println!("{} ({} bytes)", path.display(), bytes.len());
        Ok(())
    }
}
