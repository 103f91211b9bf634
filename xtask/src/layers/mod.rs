//! Which module may use which. Acyclic modules do not happen by themselves.

mod circles;
mod paths;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

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
    &["acme", "upstream", "health", "discovery", "conformance", "simulate"],
    &["proxy"],
    &["listener"],
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

/// Files in circles inside a module that may be: none.
const CIRCLES: [(&str, usize); 0] = [];

/// Checks all sources below `sources`.
pub(crate) fn check(sources: &Path) -> Result<()> {
    let mut violations = Vec::new();
    let mut texts = Sources::new();
    for file in rust_files(sources)? {
        let text = std::fs::read_to_string(&file)?;
        let module = module_of(sources, &file);
        let first = module.first().map_or("", String::as_str);
        violations.extend(
            problems(first, &text).into_iter().map(|(line, problem)| format!("{}:{line}: {problem}", file.display())),
        );
        texts.insert(module, text);
    }
    violations.extend(too_many(&circles(&texts), &CIRCLES));
    if !violations.is_empty() {
        bail!("layers are broken:\n{}", violations.join("\n"));
    }
    Ok(())
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

/// Modules in which more files are in circles than `allowed` says.
fn too_many(circles: &[Vec<String>], allowed: &[(&str, usize)]) -> Vec<String> {
    let mut by_module: BTreeMap<&str, Vec<&Vec<String>>> = BTreeMap::new();
    for circle in circles {
        let module = circle.first().and_then(|file| file.split('/').next()).unwrap_or_default();
        by_module.entry(module).or_default().push(circle);
    }
    let mut problems = Vec::new();
    for (module, circles) in &by_module {
        let files: usize = circles.iter().map(|circle| circle.len()).sum();
        let bound = allowed.iter().find(|(name, _)| name == module).map_or(0, |(_, bound)| *bound);
        if files > bound {
            let shown: Vec<String> = circles.iter().map(|circle| circle.join(", ")).collect();
            problems
                .push(format!("`{module}`: {files} files are in circles, {bound} at the most: {}", shown.join("; ")));
        }
    }
    for (module, bound) in allowed {
        let files: usize = by_module.get(module).into_iter().flatten().map(|circle| circle.len()).sum();
        if files < *bound {
            eprintln!("`{module}`: only {files} files are in circles now, and no longer {bound}: say so in CIRCLES");
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

    #[test]
    fn circles_may_not_grow() {
        let circle = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect::<Vec<String>>();
        let found = [circle(&["a/x", "a/y"]), circle(&["a/z", "a/w"]), circle(&["b", "b/c"])];
        assert_eq!(too_many(&found, &[("a", 4), ("b", 2)]), Vec::<String>::new());
        assert_eq!(too_many(&found, &[("a", 5), ("b", 2)]), Vec::<String>::new());
        assert_eq!(too_many(&found, &[("a", 3)]).len(), 2);
    }
}
