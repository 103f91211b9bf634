use std::collections::HashMap;

use crate::host::{self, Pattern};
use crate::path;
use crate::rule::Seen;

/// Finds the routes that may match, the most specific first, without a look at all of them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<Vec<u8>, Paths>,
    /// By the end of the name, from its dot on.
    wildcard: HashMap<Vec<u8>, Paths>,
    any_host: Paths,
}

/// The routes of one host, or of all.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Vec<u8>, Vec<u32>>,
    /// Longest pattern first.
    regexes: Vec<(usize, u32)>,
    /// By the prefix without its final slash; the empty one has the routes for all paths.
    prefixes: HashMap<Vec<u8>, Vec<u32>>,
    /// Most segments that a prefix has.
    depth: usize,
}

/// How the path of a route is looked up.
pub(crate) enum PathKey {
    Exact(Vec<u8>),
    /// Length of the pattern.
    Regex(usize),
    /// Without a final slash.
    Prefix(Vec<u8>),
}

impl Index {
    /// Adds a route. Of routes with the same host and path, the more specific must be added first.
    pub(crate) fn add(&mut self, host: Option<Pattern>, path: PathKey, route: u32) {
        let paths = match host {
            Some(Pattern::Exact(name)) => self.exact.entry(name).or_default(),
            Some(Pattern::Under(end)) => self.wildcard.entry(end).or_default(),
            None => &mut self.any_host,
        };
        match path {
            PathKey::Exact(path) => paths.exact.entry(path).or_default().push(route),
            PathKey::Regex(length) => {
                let at = paths.regexes.partition_point(|(other, _)| *other >= length);
                paths.regexes.insert(at, (length, route));
            }
            PathKey::Prefix(prefix) => {
                paths.depth = paths.depth.max(path::depth(&prefix));
                paths.prefixes.entry(prefix).or_default().push(route);
            }
        }
    }

    /// The most specific route for which `matches` holds.
    pub(crate) fn find(&self, seen: &Seen<'_>, matches: impl Fn(u32) -> bool) -> Option<u32> {
        if let Some(name) = &seen.host {
            if let Some(found) = self.exact.get(&**name).and_then(|paths| paths.find(seen, &matches)) {
                return Some(found);
            }
            if !self.wildcard.is_empty() {
                let mut ends = host::suffixes(name);
                if let Some(found) = ends.find_map(|end| self.wildcard.get(end)?.find(seen, &matches)) {
                    return Some(found);
                }
            }
        }
        self.any_host.find(seen, &matches)
    }
}

impl Paths {
    fn find(&self, seen: &Seen<'_>, matches: &impl Fn(u32) -> bool) -> Option<u32> {
        let first = |routes: &Vec<u32>| routes.iter().copied().find(|route| matches(*route));
        let path = seen.path.as_deref().unwrap_or_default();
        if let Some(found) = self.exact.get(path).and_then(first) {
            return Some(found);
        }
        if let Some((_, found)) = self.regexes.iter().find(|(_, route)| matches(*route)) {
            return Some(*found);
        }
        path::prefixes(path, self.depth).into_iter().find_map(|prefix| self.prefixes.get(prefix).and_then(first))
    }
}
