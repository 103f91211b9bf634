//! Builds the plugins that are shipped inside the proxy, and builds them again when their sources change; and lists the
//! sources of the SDK, which travel in the proxy as well, the files of the contract, and its bindings for C.

mod bindings;
mod sdk;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use plimsoll_componentize::{Build, Component, build_workspace};

fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    for watched in ["plugins", "sdk/src", "sdk/Cargo.toml", "sdk/macros", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // A release that is not optimised is the profile `demo`: whoever looks at the proxy for the first time waits for it.
    let soon = env::var("PROFILE")? == "release" && env::var("OPT_LEVEL")? == "0";
    let target = root.join(if soon { "target/plugins-soon" } else { "target/plugins" });
    let built = build_workspace(&root.join("plugins"), &target, Build { locked: true, quiet: true, soon })?;
    let tables = table(&built)?
        + &roles(&root.join("plugins"))?
        + &sdk::table(&root, &out)?
        + &bindings::table(&root.join("wit"), &out)?;
    fs::write(out.join("builtin.rs"), tables)?;
    Ok(())
}

/// The same of their roles: each has a folder for its plugins.
fn roles(plugins: &Path) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for role in fs::read_dir(plugins)? {
        let role = role?;
        for plugin in fs::read_dir(role.path()).into_iter().flatten() {
            let plugin = plugin?;
            if plugin.path().join("Cargo.toml").is_file() && role.file_name() != "shared" {
                found.push((plugin.file_name(), role.file_name()));
            }
        }
    }
    found.sort();
    Ok(format!("/// Name and role of every built-in plugin.\npub(crate) const ROLES: &[(&str, &str)] = &{found:?};\n"))
}

/// Rust source of the table of built-in plugins.
fn table(built: &[Component]) -> anyhow::Result<String> {
    let mut source = String::from(
        "/// Name and component of every built-in plugin.\npub(crate) const PLUGINS: &[(&str, &[u8])] = &[\n",
    );
    for component in built {
        let path = component.path.canonicalize()?;
        writeln!(source, "    ({:?}, include_bytes!({path:?})),", component.name)?;
    }
    source.push_str("];\n");
    Ok(source)
}
