use std::borrow::Cow;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::builtin;
use crate::plugin::Role;

/// A balancer as it was named on the command line, or an evaluator: a built-in one or a component's file, and its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub name: String,
    /// JSON text.
    pub config: String,
}

/// Built-in balancers.
pub const BALANCERS: [&str; 15] = [
    "round-robin",
    "static-round-robin",
    "random",
    "least-request",
    "least-connections",
    "least-time",
    "peak-ewma",
    "weighted-by-signal",
    "resource",
    "ring-hash",
    "maglev",
    "rendezvous",
    "jump-hash",
    "first",
    "failover",
];

/// Balancers of one run.
const MOST: usize = 64;

impl Choice {
    /// Reads `NAME`, `NAME={JSON}`, `FILE.wasm`, `FILE.wasm={JSON}`, separated by commas.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let choices: Result<Vec<Self>, String> =
            split(text).into_iter().map(str::trim).filter(|item| !item.is_empty()).map(Self::one).collect();
        let choices = choices?;
        if choices.len() > MOST {
            return Err(format!("{} balancers; at most {MOST}", choices.len()));
        }
        Ok(choices)
    }

    fn one(item: &str) -> Result<Self, String> {
        let (name, config) = item.split_once('=').unwrap_or((item, "{}"));
        let config = serde_json::from_str::<Value>(config)
            .map_err(|error| format!("the configuration of {name} is not JSON: {error}"))?;
        let choice = Self { name: name.trim().to_owned(), config: config.to_string() };
        if !choice.is_file() && !BALANCERS.contains(&&*choice.name) {
            return Err(format!(
                "no balancer `{name}`; there are {}, and files that end in .wasm",
                BALANCERS.join(", ")
            ));
        }
        Ok(choice)
    }

    /// Another plugin of a scenario, called `kind` there.
    pub(super) fn other(kind: &str, role: Role, plugin: &str, config: &Value) -> Result<Self, String> {
        let config = if config.is_null() { "{}".to_owned() } else { config.to_string() };
        let choice = Self { name: plugin.to_owned(), config };
        let of_role = builtin::ROLES.iter().filter(|(_, of)| *of == role.as_str()).map(|(name, _)| *name);
        let known: Vec<&str> = of_role.collect();
        if !choice.is_file() && !known.contains(&plugin) {
            return Err(format!("no {kind} `{plugin}`; there are {}, and files that end in .wasm", known.join(", ")));
        }
        Ok(choice)
    }

    fn is_file(&self) -> bool {
        self.name.ends_with(".wasm")
    }

    fn built_in(&self) -> Option<&'static [u8]> {
        let (_, bytes) = builtin::PLUGINS.iter().find(|(name, _)| *name == self.name)?;
        Some(*bytes)
    }

    /// What reports call it.
    pub fn label(&self) -> String {
        let stem = Path::new(&self.name).file_stem().map_or(Cow::Borrowed(&*self.name), |stem| stem.to_string_lossy());
        if self.config == "{}" { stem.into_owned() } else { format!("{stem} {}", self.config) }
    }

    pub(super) fn bytes(&self) -> anyhow::Result<Cow<'static, [u8]>> {
        match self.built_in() {
            Some(bytes) if !self.is_file() => Ok(bytes.into()),
            _ => Ok(std::fs::read(&self.name).with_context(|| format!("read {}", self.name))?.into()),
        }
    }
}

/// At commas outside of brackets and quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut items, mut from, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                items.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items.push(&text[from..]);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_a_configuration_part_nothing() {
        let choices = Choice::list(r#"random, least-request={"choices":3,"x":"},\""},./my-lb.wasm,"#);
        // The second is JSON, whether or not the plugin takes it.
        let labels: Vec<String> = choices.unwrap().iter().map(Choice::label).collect();
        assert_eq!(labels, ["random", r#"least-request {"choices":3,"x":"},\""}"#, "my-lb"]);
    }

    #[test]
    fn every_balancer_that_there_is_can_be_chosen() {
        let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/balancer")).expect("sources");
        let mut there: Vec<_> = sources.map(|entry| entry.expect("an entry").file_name()).collect();
        there.sort();
        let mut known = BALANCERS;
        known.sort_unstable();
        assert_eq!(there, known);
        for name in BALANCERS {
            assert!(Choice::list(name).is_ok_and(|choices| choices.len() == 1), "{name}");
        }
        assert!(Choice::list("rules").is_err(), "a router is no balancer");
    }

    #[test]
    fn what_is_wrong_with_a_choice_is_said() {
        assert!(Choice::list("fastest").unwrap_err().contains("there are round-robin, "));
        assert!(Choice::list("random={").unwrap_err().contains("not JSON"));
    }
}
