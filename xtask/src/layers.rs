//! Which module may use which. Acyclic modules do not happen by themselves.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Modules of the host from the ground up. A module may use those of the levels below its own.
const LEVELS: [&[&str]; 11] = [
    &["error", "net", "timer", "telemetry", "builtin"],
    &["config"],
    &["snapshot"],
    &["plugin"],
    &["upstream", "health", "conformance", "simulate"],
    &["proxy"],
    &["listener"],
    &["worker"],
    &["control"],
    &["admin"],
    &["app", "demo", "cli"],
];

/// What only some modules may name, with those that may.
const RESERVED: [(&str, &[&str], &str); 4] = [
    ("wasmtime", &["plugin"], "only `plugin` knows the engine"),
    ("api::v0_1", &["plugin"], "only `plugin` knows generated code"),
    ("TcpStream::connect", &["upstream", "health", "admin"], "only `upstream` and `health` make connections"),
    (
        "Instant::now",
        &[
            "admin",
            "app",
            "control",
            "demo",
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

/// Checks all sources below `sources`.
pub(crate) fn check(sources: &Path) -> Result<()> {
    let mut violations = Vec::new();
    for file in rust_files(sources)? {
        let text = std::fs::read_to_string(&file)?;
        let module = module_of(sources, &file);
        for (number, line) in text.lines().enumerate() {
            for problem in problems(&module, line) {
                violations.push(format!("{}:{}: {problem}", file.display(), number + 1));
            }
        }
    }
    if !violations.is_empty() {
        bail!("layers are broken:\n{}", violations.join("\n"));
    }
    Ok(())
}

/// What is wrong with one line of a module.
fn problems(module: &str, line: &str) -> Vec<String> {
    let line = line.trim_start();
    if line.starts_with("//") {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for used in used_modules(line) {
        if let (Some(own), Some(other)) = (level(module), level(used))
            && module != used
            && other >= own
            && !(own == LEVELS.len() - 1 && other == own)
        {
            problems.push(format!("`{module}` may not use `{used}`, which is not below it"));
        }
    }
    for (name, allowed, why) in RESERVED {
        let named = line.contains(name) && !line.contains(&format!("\"{name}"));
        if named && level(module).is_some() && !allowed.contains(&module) {
            problems.push(format!("`{module}` names {name}: {why}"));
        }
    }
    problems
}

/// Modules that follow `crate::` in a line, also inside of braces.
fn used_modules(line: &str) -> Vec<&str> {
    let word = |text: &'_ str| text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let mut used = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                let mut expects_name = true;
                for (at, byte) in list.bytes().enumerate() {
                    match byte {
                        b'{' => depth += 1,
                        b'}' if depth == 0 => break,
                        b'}' => depth -= 1,
                        b',' if depth == 0 => expects_name = true,
                        b' ' => {}
                        _ if expects_name => {
                            used.push(&list[at..at + word(&list[at..])]);
                            expects_name = false;
                        }
                        _ => {}
                    }
                }
            }
            None => used.push(&rest[..word(rest)]),
        }
    }
    used
}

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&module))
}

fn module_of(sources: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(sources).unwrap_or(file);
    let first = inside.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
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
    fn lists_in_braces_are_read() {
        assert_eq!(
            used_modules("use crate::{app, config::{self, Config}, telemetry};"),
            ["app", "config", "telemetry"]
        );
        assert_eq!(problems("config", "use crate::{error, plugin};").len(), 1);
    }

    #[test]
    fn the_engine_stays_in_its_room() {
        assert_eq!(problems("proxy", "let store = wasmtime::Store::new();").len(), 1);
        assert_eq!(problems("plugin", "use wasmtime::Store;").len(), 0);
        assert_eq!(problems("proxy", "// wasmtime would be wrong here").len(), 0);
    }

    #[test]
    fn pure_modules_do_not_read_the_clock() {
        assert_eq!(problems("snapshot", "let now = Instant::now();").len(), 1);
    }
}
