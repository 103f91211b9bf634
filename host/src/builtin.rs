//! The plugins that are shipped inside the proxy. They are ordinary plugins, built by the build script; nothing but their
//! place of origin tells them from others. And the SDK, for those who have nothing but the proxy.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::PLUGINS;

    /// In KiB. All others have 72; what reads many settings and signs has more, and `http`, `rules` and `tcp` have an engine
    /// for regular expressions.
    const LARGER: [(&str, usize); 10] = [
        ("cookie", 85),
        ("cookie-prefix", 76),
        ("cookie-rewrite", 74),
        ("header", 80),
        ("http", 210),
        ("mysql", 80),
        ("postgres", 73),
        ("redis", 78),
        ("rules", 224),
        ("tcp", 147),
    ];

    /// Where the sources are decides in which order functions stand, and so how many bytes the numbers take that refer to them.
    const TOLERANCE: usize = 1024;

    #[test]
    fn plugins_stay_small() {
        let larger = || LARGER.into_iter();
        let allowed = |name: &str| larger().find(|(larger, _)| *larger == name).map_or(72, |(_, kib)| kib);
        let grown: Vec<String> = PLUGINS
            .iter()
            .filter(|(name, component)| component.len() > allowed(name) * 1024 + TOLERANCE)
            .map(|(name, component)| format!("{name}: {} of {} bytes", component.len(), allowed(name) * 1024))
            .collect();
        assert!(grown.is_empty(), "grown beyond their bounds: {}", grown.join(", "));
        let known: BTreeSet<&str> = PLUGINS.iter().map(|(name, _)| *name).collect();
        assert!(larger().all(|(name, _)| known.contains(name)), "a bound for a plugin that there is not");
    }
}
