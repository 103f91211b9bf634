//! The plugins that are shipped inside the proxy. They are ordinary plugins, built by the build script; nothing but their
//! place of origin tells them from others. And the SDK, for those who have nothing but the proxy.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::PLUGINS;

    /// In KiB. All others have 84; what reads many settings and signs has more, and `http`, `rules` and `tcp` have an engine
    /// for regular expressions. Each has some KiB to spare, since compilers differ: what this finds is a library that came
    /// along, or code made once for each type.
    const LARGER: [(&str, usize); 9] = [
        ("cookie", 96),
        ("cookie-prefix", 86),
        ("header", 90),
        ("http", 225),
        ("mysql", 92),
        ("postgres", 85),
        ("redis", 90),
        ("rules", 240),
        ("tcp", 160),
    ];

    #[test]
    fn plugins_stay_small() {
        let larger = || LARGER.into_iter();
        let allowed = |name: &str| larger().find(|(larger, _)| *larger == name).map_or(84, |(_, kib)| kib);
        let grown: Vec<String> = PLUGINS
            .iter()
            .filter(|(name, component)| component.len() > allowed(name) * 1024)
            .map(|(name, component)| format!("{name}: {} of {} bytes", component.len(), allowed(name) * 1024))
            .collect();
        assert!(grown.is_empty(), "grown beyond their bounds: {}", grown.join(", "));
        let known: BTreeSet<&str> = PLUGINS.iter().map(|(name, _)| *name).collect();
        assert!(larger().all(|(name, _)| known.contains(name)), "a bound for a plugin that there is not");
    }
}
