//! What the crates say that we depend on: licences, sources, double versions, the Rust that they need. cargo-deny knows
//! more of it, and is asked where it is installed; advisories need a network and are looked at by hand
//! (`cargo deny check advisories`).

mod licence;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use self::licence::is_allowed;
use crate::{cargo, root, run};

/// The platforms that are looked at: where the proxy runs.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Crates that are there in several versions, and in how many: each is more to build and to trust. Whoever makes one
/// superfluous lowers the number.
const SEVERAL_VERSIONS: [(&str, usize); 21] = [
    ("base64", 2),
    ("bit-vec", 2),
    ("block-buffer", 2),
    ("cpufeatures", 2),
    ("crypto-common", 2),
    ("digest", 2),
    ("embedded-io", 2),
    ("getrandom", 3),
    ("hashbrown", 2),
    ("io-lifetimes", 2),
    ("sha2", 2),
    // oci-spec's beside jsonschema's.
    ("strum", 2),
    ("strum_macros", 2),
    ("syn", 2),
    ("synstructure", 2),
    ("untrusted", 2),
    ("wasm-encoder", 2),
    ("wasm-metadata", 2),
    ("wasmparser", 2),
    ("wit-component", 2),
    ("wit-parser", 2),
];

/// Two versions of these would be two protocol stacks in one binary.
const ONE_VERSION: [&str; 5] = ["h2", "hyper", "rustls", "tokio", "wasmtime"];

/// Checks the workspace and those of the guests.
pub(crate) fn check(guests: &[impl AsRef<Path>]) -> Result<()> {
    let deny = std::fs::read_to_string(root().join("deny.toml"))?;
    let allowed = allowed_licences(&deny)?;
    let mut problems = Vec::new();
    let workspace = packages(&root())?;
    problems.extend(several_versions(&workspace));
    problems.extend(rust_version(&workspace));
    problems.extend(licences_and_sources(&workspace, &allowed));
    for guest in guests {
        problems.extend(licences_and_sources(&packages(guest.as_ref())?, &allowed));
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    let deny = cargo(&["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if deny.is_ok_and(|status| status.success()) {
        run(&mut cargo(&["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    }
    Ok(())
}

/// A crate of `cargo metadata`.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// None for those of this repository.
    source: Option<String>,
    rust_version: Option<String>,
}

fn packages(workspace: &Path) -> Result<Vec<Package>> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM];
    let output = cargo(&arguments).current_dir(workspace).output().context("cargo metadata did not start")?;
    if !output.status.success() {
        bail!("{}: {}", workspace.display(), String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let text = |package: &Value, key: &str| package[key].as_str().map(str::to_owned);
    let read = |package: &Value| {
        Some(Package {
            name: text(package, "name")?,
            version: text(package, "version")?,
            licence: text(package, "license"),
            source: text(package, "source"),
            rust_version: text(package, "rust_version"),
        })
    };
    packages.iter().map(|package| read(package).context("a package without name or version")).collect()
}

/// The list in deny.toml, which cargo-deny goes by, too.
fn allowed_licences(deny: &str) -> Result<Vec<&str>> {
    let (_, list) = deny.split_once("\n[licenses]\nallow = [").context("deny.toml has no list of licences")?;
    let (list, _) = list.split_once(']').context("the list of licences has no end")?;
    Ok(list.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty()).collect())
}

fn licences_and_sources(packages: &[Package], allowed: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for Package { name, version, licence, source, .. } in packages {
        // One's own test guests are published nowhere.
        let Some(source) = source else { continue };
        if !source.starts_with("registry+") {
            problems.push(format!("{name} {version} comes from {source}, not from the registry"));
        }
        match licence {
            Some(licence) if is_allowed(licence, allowed) => {}
            Some(licence) => problems.push(format!("{name} {version}: deny.toml does not allow {licence}")),
            None => problems.push(format!("{name} {version} names no licence")),
        }
    }
    problems
}

fn several_versions(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let mut problems = Vec::new();
    for (name, versions) in &versions {
        let listed = SEVERAL_VERSIONS.iter().find(|(listed, _)| listed == name).map_or(1, |(_, most)| *most);
        let most = if ONE_VERSION.contains(name) { 1 } else { listed };
        if versions.len() > most {
            let versions: Vec<&str> = versions.iter().copied().collect();
            problems.push(format!(
                "{name} is there in {} versions, {most} at the most: {}",
                versions.len(),
                versions.join(", ")
            ));
        }
    }
    for (name, most) in SEVERAL_VERSIONS {
        let found = versions.get(name).map_or(0, BTreeSet::len);
        if found < most {
            eprintln!("{name} is there in {found} versions now, no longer in {most}: say so in SEVERAL_VERSIONS");
        }
    }
    problems
}

/// All of our crates state the same Rust, no crate needs a newer one, and this one is as new.
fn rust_version(packages: &[Package]) -> Vec<String> {
    let own = packages.iter().filter(|package| package.source.is_none());
    let stated: BTreeSet<Option<&str>> = own.map(|package| package.rust_version.as_deref()).collect();
    let [Some(stated)] = stated.iter().copied().collect::<Vec<_>>()[..] else {
        return vec![format!("the crates of the workspace state different Rust versions, or none: {stated:?}")];
    };
    let mut problems = Vec::new();
    for package in packages {
        if let Some(needed) = &package.rust_version
            && numbers(needed) > numbers(stated)
        {
            problems.push(format!("{} needs Rust {needed}, and rust-version says {stated}", package.name));
        }
    }
    let compiler = cargo(&["--version"]).output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let compiler = compiler.unwrap_or_default();
    let compiler = compiler.split(' ').nth(1).unwrap_or_default();
    if numbers(compiler) < numbers(stated) {
        problems.push(format!("this is Rust {compiler}, older than {stated}"));
    }
    problems
}

/// `1.95` is `1.95.0`; what follows a hyphen (`-nightly`) does not count.
fn numbers(version: &str) -> [u32; 3] {
    let release = version.split('-').next().unwrap_or_default();
    let mut parts = release.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, licence: &str, source: Option<&str>, rust_version: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: Some(licence.to_owned()),
            source: source.map(str::to_owned),
            rust_version: Some(rust_version.to_owned()),
        }
    }

    #[test]
    fn the_list_of_licences_is_read() {
        let deny = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
        let allowed = allowed_licences(&deny).expect("it has a list");
        assert!(allowed.contains(&"MIT") && allowed.contains(&"Apache-2.0 WITH LLVM-exception"), "{allowed:?}");
    }

    #[test]
    fn licences_sources_and_versions_are_looked_at() {
        let all = [
            package("a", "1.0.0", "MIT", Some("registry+x"), "1.60"),
            package("a", "2.0.0", "GPL-3.0", Some("git+https://example.test/a"), "1.60"),
            package("ours", "0.1.0", "none of it", None, "1.95"),
        ];
        assert_eq!(licences_and_sources(&all, &["MIT"]).len(), 2);
        assert_eq!(several_versions(&all).len(), 1);
    }

    #[test]
    fn the_stated_rust_is_enough_for_all() {
        let ours = || package("ours", "0.1.0", "", None, "1.90");
        assert_eq!(rust_version(&[ours(), package("a", "1.0.0", "", Some("x"), "1.90.0")]), Vec::<String>::new());
        assert_eq!(rust_version(&[ours(), package("a", "1.0.0", "", Some("x"), "1.91")]).len(), 1);
        assert_eq!(rust_version(&[ours(), package("too", "0.1.0", "", None, "1.89")]).len(), 1);
        assert_eq!(rust_version(&[package("ours", "0.1.0", "", None, "99.0")]).len(), 1);
        assert_eq!(numbers("1.97.0-nightly"), [1, 97, 0]);
    }
}
