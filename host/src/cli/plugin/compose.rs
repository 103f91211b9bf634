//! `plimsoll plugin compose`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use wasm_compose::graph::{Component, CompositionGraph, EncodeOptions};
use wasmparser::{Validator, WasmFeatures};

use crate::builtin;
use crate::plugin::inspect;

#[derive(Debug, Args)]
pub(crate) struct Compose {
    /// The component around: it imports interfaces of the contract that the other one exports, such as `router`.
    outer: PathBuf,
    /// The component inside: the name of a built-in plugin, such as `rules`, or a file.
    inner: String,
    /// Where to write the component that both become.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Compose {
    pub(super) fn execute(self) -> Result<()> {
        let outer = fs::read(&self.outer).with_context(|| format!("read {}", self.outer.display()))?;
        let built_in = builtin::PLUGINS.iter().find(|(name, _)| *name == self.inner);
        let inner = match built_in {
            Some((_, bytes)) => bytes.to_vec(),
            None => {
                fs::read(&self.inner).with_context(|| format!("`{0}` is no built-in plugin; read {0}", self.inner))?
            }
        };
        let composed = wrapped(&outer, &inner)?;
        let inspection = inspect(&composed).context("what becomes of both is no plugin")?;
        fs::write(&self.output, &composed).with_context(|| format!("write {}", self.output.display()))?;
        println!("{} ({} bytes): {}", self.output.display(), composed.len(), inspection.roles.join(", "));
        Ok(())
    }
}

/// One component of two: what `outer` imports and `inner` exports is called there, and everything else is the host's.
fn wrapped(outer: &[u8], inner: &[u8]) -> Result<Vec<u8>> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut read = |name: &str, bytes| {
        Component::from_bytes(&mut validator, name, bytes).with_context(|| format!("the one {name} is not a component"))
    };
    let (around, inside) = (read("around", outer)?, read("inside", inner)?);
    let common: Vec<_> = around
        .imports()
        .filter_map(|(import, name, _)| inside.export_by_name(name).map(|(export, ..)| (import, export)))
        .collect();
    if common.is_empty() {
        bail!(
            "the component around imports nothing that the one inside exports: it imports {}; there is {}",
            list(around.imports().map(|(_, name, _)| name)),
            list(inside.exports().map(|(_, name, ..)| name))
        );
    }
    let mut graph = CompositionGraph::new();
    let (around, inside) = (graph.add_component(around)?, graph.add_component(inside)?);
    let (around, inside) = (graph.instantiate(around)?, graph.instantiate(inside)?);
    for (import, export) in common {
        graph.connect(inside, Some(export), around, import).context("the two components do not fit")?;
    }
    let options = EncodeOptions { define_components: true, export: Some(around), validate: true };
    graph.encode(options).context("what becomes of both is no component")
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
