//! Circles of files of a crate: files that, over others, use themselves. They can only be understood together.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::{Path, paths};
use super::tokens::{tokens, without_tests};

/// Files, by the segments of their module below the crate: `["proxy", "headers"]`; `["proxy"]` for `proxy/mod.rs`.
pub(super) type Sources = BTreeMap<Vec<String>, String>;

/// The largest circles, each with the files in it in order, as `proxy/headers`.
pub(super) fn circles(sources: &Sources) -> Vec<Vec<String>> {
    let graph = graph(sources);
    let mut left: BTreeSet<&Vec<String>> = graph.keys().collect();
    let mut found = Vec::new();
    // With some hundred files to a crate there is no need for anything cleverer than looking from each.
    while let Some(one) = left.first().copied() {
        let circle: Vec<&Vec<String>> =
            reachable(&graph, one).into_iter().filter(|other| reachable(&graph, other).contains(one)).collect();
        left.remove(one);
        for member in &circle {
            left.remove(*member);
        }
        if circle.len() > 1 {
            found.push(circle.into_iter().map(|module| module.join("/")).collect());
        }
    }
    found
}

type Graph = BTreeMap<Vec<String>, BTreeSet<Vec<String>>>;

/// What can be reached in one step or more.
fn reachable<'a>(graph: &'a Graph, from: &Vec<String>) -> BTreeSet<&'a Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&Vec<String>> = graph.get(from).into_iter().flatten().collect();
    while let Some(module) = next.pop() {
        if seen.insert(module) {
            next.extend(graph.get(module).into_iter().flatten());
        }
    }
    seen
}

/// Which file uses which. What stands in the root of the crate is everybody's. A name that a module only hands on is followed to the file that has it.
fn graph(sources: &Sources) -> Graph {
    let all: BTreeMap<&Vec<String>, Vec<Used>> =
        sources.iter().map(|(module, text)| (module, used(module, text, sources))).collect();
    let mut graph = Graph::new();
    for (module, used) in &all {
        let of_own = graph.entry((*module).clone()).or_default();
        for path in used.iter().filter(|path| !path.exported) {
            let file = resolve(&path.segments, &all, sources);
            if file != **module && !file.is_empty() {
                of_own.insert(file);
            }
        }
    }
    graph
}

/// A path from the crate down.
struct Used {
    segments: Vec<String>,
    exported: bool,
}

fn used(module: &[String], text: &str, sources: &Sources) -> Vec<Used> {
    let children: Vec<&str> = sources
        .keys()
        .filter(|other| other.len() == module.len() + 1 && other.starts_with(module))
        .filter_map(|other| other.last().map(String::as_str))
        .collect();
    let tokens = without_tests(&tokens(text));
    paths(&tokens, &children).iter().filter_map(|path| absolute(module, path)).collect()
}

fn absolute(module: &[String], path: &Path<'_>) -> Option<Used> {
    let mut segments = module.to_vec();
    let mut rest = path.segments.as_slice();
    match rest.split_first() {
        Some((&"crate", after)) => {
            segments.clear();
            rest = after;
        }
        Some((&"self", after)) => rest = after,
        _ => {}
    }
    while let Some((&"super", after)) = rest.split_first() {
        segments.pop()?;
        rest = after;
    }
    segments.extend(rest.iter().filter(|segment| **segment != "self").map(|segment| (*segment).to_owned()));
    Some(Used { segments, exported: path.exported })
}

/// The file that a path leads to.
fn resolve(segments: &[String], all: &BTreeMap<&Vec<String>, Vec<Used>>, sources: &Sources) -> Vec<String> {
    let mut segments = segments.to_vec();
    // A chain of exports is short, and may not be a circle itself.
    for _ in 0..4 {
        let length = (1..=segments.len()).rev().find(|length| sources.contains_key(&segments[..*length])).unwrap_or(0);
        let file = segments[..length].to_vec();
        let Some(name) = segments.get(length) else { return file };
        let exports = all.get(&file).into_iter().flatten();
        let from = exports.filter(|path| path.exported).find(|path| path.segments.last() == Some(name));
        match from {
            Some(path) => segments = path.segments.clone(),
            None => return file,
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        files.iter().map(|(name, text)| (name.split('/').map(str::to_owned).collect(), (*text).to_owned())).collect()
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        let of = |c: &str| {
            circles(&sources(&[
                ("m", "mod a; mod b; mod c; pub use c::C;"),
                ("m/a", "use super::b::{\n    B,\n};"),
                ("m/b", "fn f() { super::C::new() }"),
                ("m/c", c),
                ("outside", "use crate::m::a::A;"),
                ("leaf", ""),
            ]))
        };
        assert_eq!(of("use super::a;"), [["m/a", "m/b", "m/c"]]);
        assert_eq!(of("use crate::outside::A;"), [["m/a", "m/b", "m/c", "outside"]]);
        assert_eq!(of("use crate::leaf::a;"), Vec::<Vec<String>>::new());
        assert_eq!(of("#[cfg(test)] mod tests { use super::super::a::A; }"), Vec::<Vec<String>>::new());
        assert_eq!(of("// use super::a;"), Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_module_and_its_child_can_be_a_circle() {
        let found = circles(&sources(&[("m", "mod a; struct M(a::A);"), ("m/a", "use super::M;")]));
        assert_eq!(found, [["m", "m/a"]]);
    }
}
