//! Whether the plugin contract still fits what was built for it. `wit/frozen` has each version as it was settled; the one
//! that is current may only have grown, and only where plugins that know nothing of it are not asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Compares the current contract with the one that was settled for its version.
pub(crate) fn check(wit: &Path) -> Result<()> {
    let current = Contract::read(wit)?;
    let settled = Contract::read(&wit.join("frozen").join(current.series()))?;
    let differences = current.differences(&settled);
    if !differences.is_empty() {
        bail!("the contract no longer fits what was built for {}:\n{}", settled.version, differences.join("\n"));
    }
    Ok(())
}

/// The contract as text: what stands in each interface and world, without comments and as if on one line.
#[derive(Debug, Default)]
struct Contract {
    version: String,
    /// By interface or world, and within by name.
    items: BTreeMap<String, BTreeMap<String, String>>,
    /// Interfaces that plugins export.
    exported: BTreeSet<String>,
}

impl Contract {
    fn read(directory: &Path) -> Result<Self> {
        let mut contract = Self::default();
        let entries =
            std::fs::read_dir(directory).with_context(|| format!("no contract in {}", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wit") {
                contract.add(&std::fs::read_to_string(&path)?);
            }
        }
        if contract.version.is_empty() {
            bail!("no package in {}", directory.display());
        }
        Ok(contract)
    }

    fn add(&mut self, text: &str) {
        let text = on_one_line(text);
        for item in items(&text) {
            if let Some(package) = item.strip_prefix("package ") {
                self.version = package.split('@').nth(1).unwrap_or_default().to_owned();
            } else if let Some((head, body)) = item.split_once('{') {
                let body = body.strip_suffix('}').unwrap_or(body);
                let inside: BTreeMap<_, _> =
                    items(body).into_iter().map(|item| (name(item), item.to_owned())).collect();
                self.exported.extend(inside.keys().filter_map(|name| name.strip_prefix("export ")).map(str::to_owned));
                self.items.insert(head.trim().to_owned(), inside);
            }
        }
    }

    /// Versions that serve each other's plugins: below 1.0 those with the same two first numbers.
    fn series(&self) -> String {
        self.version.split('.').take(2).collect::<Vec<_>>().join(".")
    }

    /// What a plugin that was built for `settled` could stumble over.
    fn differences(&self, settled: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (place, inside) in &settled.items {
            let Some(now) = self.items.get(place) else {
                differences.push(format!("{place} is gone"));
                continue;
            };
            for (name, item) in inside.iter().filter(|(name, _)| !name.starts_with("use ")) {
                match now.get(name) {
                    Some(same) if same == item => {}
                    Some(other) => differences.push(format!("{place}: `{name}` was `{item}` and is `{other}`")),
                    None => differences.push(format!("{place}: `{name}` is gone")),
                }
            }
            let is_exported = place.strip_prefix("interface ").is_some_and(|name| self.exported.contains(name));
            let new = now.iter().filter(|(name, item)| !inside.contains_key(*name) && item.contains(":func("));
            differences.extend(new.filter(|_| is_exported).map(|(name, _)| {
                format!("{place}: `{name}` is new, and no plugin has it: it needs an interface of its own")
            }));
        }
        differences
    }
}

/// Without comments, and with white space only where words would run together.
fn on_one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).flat_map(str::split_whitespace).collect();
    let mut line = words.join(" ");
    for mark in ["{", "}", "(", ")", "<", ">", ",", ":", ";", "=", "->"] {
        line = line.replace(&format!(" {mark}"), mark).replace(&format!("{mark} "), mark);
    }
    line.replace(",}", "}").replace(",)", ")")
}

/// What stands side by side, each up to its semicolon or its last brace.
fn items(text: &str) -> Vec<&str> {
    let (mut found, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(byte, b'}' | b';') {
            found.push(text[begin..=at].trim_matches(';').trim());
            begin = at + 1;
        }
    }
    found.retain(|item| !item.is_empty());
    found
}

/// Of an item: `pick` for a function, `record plan` for a type, `export router` in a world.
fn name(item: &str) -> String {
    item.split([':', '{', '=', '(']).next().unwrap_or(item).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: &str = "
        /// A comment; with a { brace.
        package a:b@0.2.0;
        interface role { use types.{x}; record plan { a: u32, b: option<string>, } pick: func(policy: u32) -> option<u32>; }
        interface offered { get: func() -> u32; }
        world w { import offered; export role; }";

    fn differences(live: &str) -> Vec<String> {
        let [mut settled, mut current] = [Contract::default(), Contract::default()];
        settled.add(SETTLED);
        current.add(live);
        current.differences(&settled)
    }

    #[test]
    fn the_contract_fits_what_was_built_for_it() {
        check(&crate::root().join("wit")).expect("it fits");
    }

    #[test]
    fn what_says_the_same_is_the_same() {
        assert_eq!(differences(&SETTLED.replace("b: option<string>, }", "// another\nb: option< string > }")), [""; 0]);
    }

    #[test]
    fn it_may_grow_where_nobody_is_asked_for_more() {
        let more = SETTLED.replace("get: func() -> u32;", "get: func() -> u32; put: func(n: u32);");
        assert_eq!(differences(&more), [""; 0]);
        let more =
            SETTLED.replace("export role;", "export role; export role-two;") + "interface role-two { ask: func(); }";
        assert_eq!(differences(&more), [""; 0]);
    }

    #[test]
    fn what_a_plugin_could_stumble_over_is_told() {
        for (from, to, told) in [
            ("a: u32,", "a: u64,", "interface role: `record plan` was"),
            ("a: u32,", "a: u32, c: u8,", "interface role: `record plan` was"),
            ("pick: func(policy: u32)", "pick: func(policy: u32, key: u64)", "interface role: `pick` was"),
            ("record plan", "tick: func(); record plan", "interface role: `tick` is new"),
            ("get: func() -> u32;", "", "interface offered: `get` is gone"),
            ("import offered;", "", "world w: `import offered` is gone"),
            ("interface offered {", "interface other {", "interface offered is gone"),
        ] {
            let found = differences(&SETTLED.replace(from, to));
            assert!(found.len() == 1 && found[0].starts_with(told), "{to}: {found:?}");
        }
    }
}
