//! What Prometheus would make of /metrics.

use std::collections::{HashMap, HashSet};

use plimsoll_tests::{Endpoint, Proxy, get, guest_path};

use crate::{PLIMSOLL, in_front_of};

/// A scrape, read as Prometheus' text format 0.0.4 demands.
#[derive(Default)]
struct Scrape {
    /// By name: the type.
    families: HashMap<String, String>,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Scrape {
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut scrape = Self::default();
        let mut helped = HashSet::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap_or_else(|| panic!("no text: {line}"));
                assert!(!text.is_empty() && helped.insert(name.to_owned()), "a second HELP: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "TYPE without HELP: {line}");
                assert!(scrape.families.insert(name.to_owned(), kind.to_owned()).is_none(), "a second TYPE: {line}");
                current = name.to_owned();
            } else {
                let sample = Sample::read(line);
                assert!(scrape.belongs(&sample.name, &current), "{line} is not of {current}, which it follows");
                scrape.samples.push(sample);
            }
        }
        assert_eq!(helped.len(), scrape.families.len());
        scrape
    }

    fn belongs(&self, sample: &str, family: &str) -> bool {
        let histogram = self.families.get(family).is_some_and(|kind| kind == "histogram");
        match sample.strip_prefix(family) {
            Some("_bucket" | "_sum" | "_count") => histogram,
            Some("") => !histogram,
            _ => false,
        }
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has =
            |sample: &Sample, (key, value): &(&str, &str)| sample.labels.iter().any(|(k, v)| k == key && v == value);
        let mut found =
            self.samples.iter().filter(|sample| sample.name == name && labels.iter().all(|l| has(sample, l)));
        let value = found.next().unwrap_or_else(|| panic!("no {name} {labels:?}")).value;
        assert!(found.next().is_none(), "several of {name} {labels:?}");
        value
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| {
            (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("labels without an end: {line}")))
        });
        assert!(is_name(name), "{line}");
        let mut rest = labels;
        let mut labels = Vec::new();
        while !rest.is_empty() {
            let (key, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(key), "{line}");
            let end = closing_quote(after).unwrap_or_else(|| panic!("no closing quote: {line}"));
            labels.push((key.to_owned(), after[..end].to_owned()));
            let after = &after[end + 1..];
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        labels.sort();
        Self { name: name.to_owned(), labels, value }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

#[test]
fn they_are_what_prometheus_reads() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let cluster = "affinity: { plugin: cookie }, health: { probe: { plugin: tcp, interval: 50ms } }";
    let proxy = in_front_of(&[&one, &two], "", cluster);
    assert!((0..5).all(|_| get(proxy.address("web"), "/").status == 200));
    let response = proxy.admin("GET", "/metrics", None);
    assert!(response.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    let scrape = Scrape::read(&response.text());
    assert!(scrape.families.len() > 20, "{:?}", scrape.families.keys());

    let mut series = HashSet::new();
    for sample in &scrape.samples {
        assert!(series.insert((&sample.name, &sample.labels)), "twice: {} {:?}", sample.name, sample.labels);
    }
    for (name, kind) in &scrape.families {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        if kind == "histogram" {
            check_histogram(&scrape, name);
        }
    }
}

/// Buckets grow, the last one is `+Inf`, and holds as many as `_count` says.
fn check_histogram(scrape: &Scrape, name: &str) {
    let mut last: HashMap<Vec<(String, String)>, (f64, f64)> = HashMap::new();
    for sample in scrape.samples.iter().filter(|sample| sample.name == format!("{name}_bucket")) {
        let (bound, others): (Vec<_>, Vec<_>) = sample.labels.iter().cloned().partition(|(key, _)| key == "le");
        let bound: f64 = bound[0].1.parse().expect("le is a number, or +Inf");
        let before = last.insert(others, (bound, sample.value)).unwrap_or((f64::NEG_INFINITY, 0.0));
        assert!(before.0 < bound && before.1 <= sample.value, "{name} le={bound}");
    }
    for (labels, (bound, value)) in last {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert!(bound.is_infinite(), "{name} {labels:?}");
        assert_eq!(scrape.value(&format!("{name}_count"), &labels), value, "{name} {labels:?}");
    }
}

#[test]
fn they_count_what_happened() {
    let (one, two) =
        (Endpoint::named("one"), Endpoint::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin }");
    let scrape = || Scrape::read(&proxy.admin("GET", "/metrics", None).text());
    let before = scrape();
    for _ in 0..12 {
        get(proxy.address("web"), "/");
    }
    let after = scrape();
    let grown = |name: &str, labels: &[(&str, &str)]| after.value(name, labels) - before.value(name, labels);
    assert_eq!(grown("plimsoll_requests_total", &[("cluster", "app"), ("class", "2xx")]), 6.0);
    assert_eq!(grown("plimsoll_requests_total", &[("cluster", "app"), ("class", "4xx")]), 6.0);
    assert_eq!(grown("plimsoll_requests_total", &[("cluster", "app"), ("class", "5xx")]), 0.0);
    assert_eq!(grown("plimsoll_connections_total", &[("listener", "web")]), 12.0);
    assert_eq!(grown("plimsoll_request_duration_seconds_count", &[("cluster", "app")]), 12.0);
}

#[test]
fn a_plugin_has_histograms_of_its_own() {
    let one = Endpoint::named("one");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
plugins: [ {{ name: hoarder, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: hoarder, config: {{ observed: [ 0, 0.75, 3, 1e9, -1 ] }} }}, endpoints: [ \"{}\" ] }} ]",
            guest_path("hoarder"),
            one.address()
        ),
    );
    assert!((0..4).all(|_| get(proxy.address("web"), "/").status == 200));
    let scrape = Scrape::read(&proxy.admin("GET", "/metrics", None).text());
    check_histogram(&scrape, "plimsoll_plugin_histogram");
    let own = [("plugin", "hoarder"), ("name", "greed")];
    let below = |bound| scrape.value("plimsoll_plugin_histogram_bucket", &[own[0], own[1], ("le", bound)]);
    assert_eq!(
        ["0.0009765625", "0.5", "1.0", "2.0", "4.0", "1048576.0", "+Inf"].map(below),
        [4.0, 4.0, 8.0, 8.0, 12.0, 12.0, 16.0]
    );
    assert_eq!(scrape.value("plimsoll_plugin_histogram_sum", &own), 4.0 * (0.75 + 3.0 + 1e9));
    assert_eq!(scrape.value("plimsoll_plugin_adds_refused_total", &own[..1]), 4.0);
}

#[test]
fn what_a_configuration_no_longer_has_is_no_longer_told() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    get(proxy.address("web"), "/");
    assert!(proxy.admin("GET", "/metrics", None).text().contains("cluster=\"app\""));
    let config = proxy.admin("GET", "/v1/config", None).text();
    let renamed = config.replace("cluster: app", "cluster: other").replace("name: app", "name: other");
    proxy.admin_json("PUT", "/v1/config", Some(renamed.as_bytes()));
    let text = proxy.admin("GET", "/metrics", None).text();
    assert!(text.contains("cluster=\"other\"") && !text.contains("cluster=\"app\""), "{text}");
}
