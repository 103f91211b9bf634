use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Rust source of the table of the SDK's files, as a crate that stands by itself.
pub(crate) fn table(root: &Path, out: &Path) -> Result<String> {
    let root = root.canonicalize()?;
    let workspace = fs::read_to_string(root.join("Cargo.toml"))?;
    let mut files = Vec::new();
    for (from, to) in [("sdk/src", "src"), ("sdk/macros/src", "macros/src"), ("wit", "wit")] {
        collect(&root.join(from), Path::new(to), &mut files)?;
    }
    for (from, to) in [("sdk/Cargo.toml", "Cargo.toml"), ("sdk/macros/Cargo.toml", "macros/Cargo.toml")] {
        let manifest = standalone(&fs::read_to_string(root.join(from))?, &workspace)
            .with_context(|| format!("make {from} stand by itself"))?;
        let written = out.join(from.replace('/', "-"));
        fs::write(&written, manifest)?;
        files.push((to.into(), written));
    }
    files.sort();
    let mut source =
        String::from("/// Path and text of every file of the SDK.\npub(crate) const SDK: &[(&str, &str)] = &[\n");
    for (to, from) in files {
        writeln!(source, "    ({to:?}, include_str!({from:?})),")?;
    }
    source.push_str("];\n");
    Ok(source)
}

/// All files below a directory but what is there for the workspace alone: tests, and the contract as it was frozen.
fn collect(directory: &Path, to: &Path, files: &mut Vec<(PathBuf, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let to = to.join(&name);
        if name == "frozen" || name == "tests.rs" || entry.path().extension().is_some_and(|kind| kind == "md") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &to, files)?;
        } else {
            files.push((to, entry.path()));
        }
    }
    Ok(())
}

/// A manifest with what it takes from the workspace written out, and without what is there for its tests.
fn standalone(manifest: &str, workspace: &str) -> Result<String> {
    let mut text = String::new();
    let mut is_kept = true;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_kept = !matches!(line, "[dev-dependencies]" | "[lints]");
        }
        if !is_kept || line.starts_with('#') {
            continue;
        }
        match line.split_once(".workspace = true") {
            Some(("plimsoll-sdk-macros", _)) => text.push_str("plimsoll-sdk-macros = { path = \"macros\" }"),
            Some((key, _)) => {
                let told =
                    workspace.lines().find(|told| told.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = ")));
                let Some(told) = told else { bail!("the workspace does not tell `{key}`") };
                text.push_str(told);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(text)
}
