//! `plimsoll plugin push` and `plimsoll plugin pull`: components by reference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use clap::Args;
use oci_client::Reference;
use serde_json::json;

use super::print::print;
use super::registry::{Access, reference};
use crate::control::{Component, MOST_COMPONENT_BYTES, signature_path};
use crate::io::{read_bounded, replace_file};
use crate::plugin::inspect;
use crate::telemetry::rfc3339;

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Where to put it: `HOST/REPOSITORY:TAG`.
    #[arg(value_name = "REF", value_parser = reference)]
    to: Reference,
    /// The component. What minisign has written beside it, in FILE.minisig, goes along.
    file: PathBuf,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Where it is: `HOST/REPOSITORY@DIGEST`, or `HOST/REPOSITORY:TAG` for what is under that name now.
    #[arg(value_name = "REF", value_parser = reference)]
    from: Reference,
    /// Where to write it, and its signature beside it, if it has one; the last part of the repository with `.wasm` unless given.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

impl Push {
    pub(super) fn execute(self) -> Result<()> {
        ensure!(self.to.digest().is_none(), "a digest is what comes of it: expected HOST/REPOSITORY:TAG");
        let read = || format!("read {}", self.file.display());
        let bytes = read_bounded(&self.file, MOST_COMPONENT_BYTES as u64).with_context(read)?;
        let plugin = inspect(&bytes).with_context(|| format!("load {}", self.file.display()))?;
        // That of the file, so that the same file is the same artifact whenever it is put there.
        let created = fs::metadata(&self.file).and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
        let config = json!({
            "created": rfc3339(created),
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [format!("sha256:{}", plugin.digest)],
            "component": { "exports": plugin.roles, "imports": plugin.imports },
        });
        let annotations = [("title", plugin.name), ("version", plugin.version), ("description", plugin.summary)];
        let annotations: BTreeMap<String, String> =
            annotations.map(|(key, text)| (format!("org.opencontainers.image.{key}"), text)).into();
        let signature = Component::beside(&self.file, &*bytes).with_context(read)?.signature;
        let registry = self.access.registry(self.to)?;
        let digest = registry.push(bytes, &config, annotations, signature.as_deref()).context("push it")?;
        print(&format!("{}\n", registry.named(&digest)))
    }
}

impl Pull {
    pub(super) fn execute(self) -> Result<()> {
        let last = self.from.repository().rsplit('/').next().unwrap_or_default();
        let path = self.output.unwrap_or_else(|| PathBuf::from(format!("{last}.wasm")));
        let registry = self.access.registry(self.from)?;
        let artifact = registry.pull().context("pull it")?;
        let plugin = inspect(&artifact.bytes).context("load what was pulled")?;
        write(&path, &artifact.bytes)?;
        let beside = signature_path(&path);
        match &artifact.signature {
            Some(text) => write(&beside, text.as_bytes())?,
            // One of other bytes would be taken for that of these.
            None if beside.exists() => {
                fs::remove_file(&beside).with_context(|| format!("remove {}", beside.display()))?
            }
            None => {}
        }
        let signed = if artifact.signature.is_some() { "signed" } else { "not signed" };
        print(&format!(
            "{}: {} {}, {} bytes, {signed}\n{}\n",
            path.display(),
            plugin.name,
            plugin.version,
            artifact.bytes.len(),
            registry.named(&artifact.digest)
        ))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_file(path, bytes).with_context(|| format!("write {}", path.display()))
}
