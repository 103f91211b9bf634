//! `plimsoll plugin inspect`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::print::print;
use crate::plugin::{Inspection, inspect};

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The component.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) fn execute(self) -> Result<()> {
        let bytes = fs::read(&self.file).with_context(|| format!("read {}", self.file.display()))?;
        let inspection = inspect(&bytes).with_context(|| format!("load {}", self.file.display()))?;
        let text = if self.json {
            serde_json::to_string_pretty(&inspection).context("write JSON")? + "\n"
        } else {
            describe(&inspection)
        };
        print(&text)
    }
}

fn describe(inspection: &Inspection) -> String {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let mut text = format!(
        "{} {}\n{}\n\nroles    {}\nimports  {}\nsize     {} bytes\nsha256   {}\n",
        inspection.name,
        inspection.version,
        inspection.summary,
        list(&inspection.roles),
        list(&inspection.imports),
        inspection.size_bytes,
        inspection.digest,
    );
    for (role, schema) in &inspection.config_schemas {
        text += &format!("\nconfiguration as {role}:\n{schema:#}\n");
    }
    text
}
