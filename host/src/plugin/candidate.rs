//! A candidate is a version of a plugin that decides beside the live one without effect. What it does bears a name of its own:
//! its counts, its messages and what it remembers.

/// What the name of a candidate ends with. No plugin's own name does.
const MARK: &str = "+shadow";

/// What the candidate of a plugin is called.
pub fn candidate_name(plugin: &str) -> String {
    format!("{plugin}{MARK}")
}

pub(super) fn is_candidate(name: &str) -> bool {
    name.ends_with(MARK)
}

/// The name of the plugin that a candidate is a version of, and that of any other plugin.
pub(super) fn own_name(name: &str) -> &str {
    name.strip_suffix(MARK).unwrap_or(name)
}
