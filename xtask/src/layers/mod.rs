//! Which module of the host may use which, and that no files of any crate are in a circle. Neither happens by itself.

mod circles;
mod paths;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use self::circles::{Sources, circles};
use self::paths::paths;
use self::tokens::tokens;

/// Modules of the host from the ground up. A module may use those of the levels below its own.
const LEVELS: [&[&str]; 12] = [
    &["error", "io", "net", "timer", "telemetry", "builtin"],
    &["config"],
    &["snapshot", "tls"],
    &["plugin"],
    &["downstream"],
    &["acme", "upstream", "health", "discovery", "conformance"],
    &["proxy"],
    &["listener", "simulate"],
    &["worker"],
    &["control"],
    &["admin"],
    &["app", "demo", "cli", "fuzzing"],
];

/// What only some modules may name, with those that may.
const RESERVED: [(&str, &[&str], &str); 4] = [
    ("wasmtime", &["plugin"], "only `plugin` knows the engine"),
    ("api::v0_2", &["plugin"], "only `plugin` knows generated code"),
    (
        "TcpStream::connect",
        &["acme", "upstream", "health", "discovery", "admin", "cli"],
        "only `upstream`, `health`, `discovery`, `acme` and the commands that ask the API make connections",
    ),
    (
        "Instant::now",
        &[
            "admin",
            "app",
            "cli",
            "control",
            "demo",
            "discovery",
            "health",
            "listener",
            "plugin",
            "proxy",
            "telemetry",
            "timer",
            "upstream",
            "worker",
        ],
        "`snapshot`, `config` and `error` do not read the clock",
    ),
];

/// The crate whose modules have levels.
const HOST: &str = "host/src";

/// Checks the host's modules against their levels, and all crates for circles of files.
pub(crate) fn check(repository: &Path) -> Result<()> {
    let mut violations = Vec::new();
    let crates = crates(repository)?;
    ensure!(crates.contains(&repository.join(HOST)), "the host is not where it is looked for: {HOST}");
    for sources in crates {
        let is_host = sources.ends_with(HOST);
        let mut texts = Sources::new();
        for file in rust_files(&sources)? {
            let text = std::fs::read_to_string(&file)?;
            let module = module_of(&sources, &file);
            if is_host {
                let first = module.first().map_or("", String::as_str);
                let shown = |(line, problem)| format!("{}:{line}: {problem}", file.display());
                violations.extend(problems(first, &text).into_iter().map(shown));
            }
            texts.insert(module, text);
        }
        let shown = |circle: Vec<String>| format!("{}: a circle of files: {}", sources.display(), circle.join(", "));
        violations.extend(circles(&texts).into_iter().map(shown));
    }
    if !violations.is_empty() {
        bail!("layers are broken:\n{}", violations.join("\n"));
    }
    Ok(())
}

/// Where the sources are of every crate that the repository has, in order.
fn crates(repository: &Path) -> Result<Vec<PathBuf>> {
    // Those that git does not track yet are as good.
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "--", "*Cargo.toml"];
    let listed = Command::new("git").args(arguments).current_dir(repository).output()?;
    ensure!(listed.status.success(), "git does not say which files there are");
    let manifests = String::from_utf8(listed.stdout).context("names of files are UTF-8")?;
    let manifests = manifests.lines().map(Path::new).filter(|manifest| manifest.ends_with("Cargo.toml"));
    // The manifest of a workspace has no sources beside it.
    let sources = manifests.map(|manifest| repository.join(manifest).with_file_name("src"));
    Ok(sources.filter(|sources| sources.is_dir()).collect())
}

/// What is wrong with a file of a module, and in which line.
fn problems(module: &str, text: &str) -> Vec<(usize, String)> {
    let Some(own) = level(module) else { return Vec::new() };
    let tokens = tokens(text);
    let mut problems = Vec::new();
    for path in paths(&tokens, &[]) {
        let [first, used, ..] = path.segments[..] else { continue };
        if first == "crate"
            && let Some(other) = level(used)
            && module != used
            && other >= own
            && !(own == LEVELS.len() - 1 && other == own)
        {
            problems.push((path.line, format!("`{module}` may not use `{used}`, which is not below it")));
        }
    }
    for (name, allowed, why) in RESERVED {
        let words: Vec<&str> = name
            .split_inclusive("::")
            .flat_map(|part| match part.strip_suffix("::") {
                Some(word) => vec![word, "::"],
                None => vec![part],
            })
            .collect();
        let named = tokens
            .windows(words.len())
            .filter(|window| window.iter().map(|token| token.text).eq(words.iter().copied()));
        if !allowed.contains(&module) {
            problems.extend(named.map(|window| (window[0].line, format!("`{module}` names {name}: {why}"))));
        }
    }
    problems
}

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&module))
}

/// The segments of a file's module below the crate.
fn module_of(sources: &Path, file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(sources).unwrap_or(file).with_extension("");
    let mut segments: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if segments.last().is_some_and(|last| last == "mod") {
        segments.pop();
    }
    segments
}

fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_looked_at() {
        let found = crates(&crate::root()).unwrap();
        let some = [HOST, "sdk/macros/src", "plugins/balancer/first/src", "tests/guests/contract/src", "xtask/src"];
        for sources in some {
            assert!(found.contains(&crate::root().join(sources)), "{sources} is not among {found:?}");
        }
    }

    #[test]
    fn using_what_is_above_is_a_violation() {
        assert_eq!(problems("plugin", "use crate::proxy::Listener;").len(), 1);
        assert_eq!(problems("proxy", "use crate::plugin::Router;").len(), 0);
        assert_eq!(problems("upstream", "let x = crate::health::probe();").len(), 1, "neighbours are apart");
    }

    #[test]
    fn lists_in_braces_are_read_over_lines() {
        assert_eq!(problems("config", "use crate::{error, plugin};").len(), 1);
        let list = "use crate::{\n    error::Error,\n    plugin::{\n        Router,\n    },\n    proxy,\n};";
        assert_eq!(problems("config", list).len(), 2);
    }

    #[test]
    fn the_engine_stays_in_its_room() {
        assert_eq!(problems("proxy", "fn f() {\n    let store = wasmtime::Store::new();\n}")[0].0, 2);
        assert_eq!(problems("plugin", "use wasmtime::Store;").len(), 0);
        assert_eq!(problems("proxy", "// wasmtime would be wrong here, and \"wasmtime\", too").len(), 0);
    }

    #[test]
    fn pure_modules_do_not_read_the_clock() {
        assert_eq!(problems("snapshot", "let now = Instant::now();").len(), 1);
        assert_eq!(problems("snapshot", "let now = std::time::Instant\n    ::now();").len(), 1);
    }
}
