use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// Roles for which there is a template in C.
const WORLDS: [&str; 2] = ["balancer-plugin", "router-plugin"];

/// Rust source of the table of files that a plugin in C is made with: the contract as C, and the object with its types.
pub(crate) fn table(wit: &Path, out: &Path) -> Result<String> {
    let mut files = Files::default();
    for world in WORLDS {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit).context("read the contract")?;
        let world = resolve.select_world(&[package], Some(world))?;
        wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    }
    let directory = out.join("c-bindings");
    fs::create_dir_all(&directory)?;
    let mut source = String::from(
        "/// Name and content of every file of the contract's bindings for C.\npub(crate) const C_BINDINGS: &[(&str, &[u8])] = &[\n",
    );
    for (name, content) in files.iter() {
        let path = directory.join(name);
        fs::write(&path, content)?;
        writeln!(source, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    source.push_str("];\n");
    Ok(source)
}
