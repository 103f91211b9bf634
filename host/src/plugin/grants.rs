use std::collections::BTreeSet;

use crate::config::DEFAULT_GRANTS;

/// The host interfaces that the operator lets a plugin import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants(BTreeSet<String>);

impl Grants {
    /// Names of all grants; `wasi` is the only one that must be asked for.
    pub const ALL: [&'static str; 10] =
        ["log", "metrics", "clock", "random", "counters", "keys", "table", "shared-table", "node", "wasi"];

    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// All of them, for tools that only look at a plugin.
    pub fn everything() -> Self {
        Self::new(Self::ALL)
    }
}

impl Default for Grants {
    fn default() -> Self {
        Self::new(DEFAULT_GRANTS)
    }
}
