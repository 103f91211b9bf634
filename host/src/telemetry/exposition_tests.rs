//! The scrape as a whole: a golden page, and the rules that `promtool check metrics` holds pages to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    AttemptOutcome, BadRequest, CertificateSample, ClusterSample, ConnectResult, Direction, EndpointSample, Flag,
    OutwardResult, QueueResult, Refusal, Registry, ReloadResult, ShadowEnd, ShadowResult,
};

fn small_registry() -> Registry {
    let registry = Registry::new();
    for worker in 0..2 {
        let listener = registry.listener(worker, "web");
        drop(listener.connection());
        listener.refused(Refusal::Limit);
        listener.bad_request(BadRequest::Parse);
        listener.bytes(Direction::In, 100);
        listener.bytes(Direction::Out, 1000);
        std::mem::forget(listener.connection());

        let cluster = registry.cluster(worker, "api");
        cluster.request(200, Duration::from_millis(2), None);
        cluster.request(503, Duration::from_secs(61), Some(Flag::NoEndpoint));
        cluster.attempt(AttemptOutcome::Success);
        cluster.first_byte(Duration::from_micros(1500));
        cluster.connect(ConnectResult::Reused);
        cluster.queued();
        cluster.queued();
        cluster.dequeued(QueueResult::Served, Duration::from_millis(3));
        cluster.queue_full();

        let plugin = registry.plugin(Some(worker), "least-request", "balancer");
        plugin.call(None);
        plugin.call(Some(Duration::from_nanos(300)));
        plugin.trap("deadline");
        plugin.trap("something new");
        plugin.fallback("rebuilding");
        plugin.invalid_answer();
        plugin.repeat();
        registry.shadow(worker, "least-request", "balancer").decided(ShadowResult::Different);
        registry.worker(worker).outcomes_dropped(3);
    }
    registry.cluster(0, "").request(404, Duration::from_micros(50), Some(Flag::NoRoute));
    registry.plugin(None, "least-request", "balancer").call(None);
    registry.plugin(None, "least-request", "filter").call(None);
    registry.plugin_rebuilt("least-request");
    registry.shadow_ended("least-request", ShadowEnd::Aborted);
    registry.called_for_plugin("least-request", OutwardResult::Timeout);
    registry.add_plugin_counter("least-request", "ties", 7);
    registry.set_plugin_gauge("least-request", "level", 0.25);
    for took in [0.0, 0.75, 3.5, 1e9] {
        registry.observe_plugin_value("least-request", "tried", took);
    }
    registry.set_config_version(4);
    registry.config_reloaded(ReloadResult::Failure);
    let sample = EndpointSample {
        endpoint: "hostile\"\\\nid".into(),
        in_flight: 1,
        requests: u64::MAX,
        failures: 2,
        weight: 3,
        ramp: 250,
        available: true,
        draining: false,
        first_byte_us: 1500,
    };
    let cluster = ClusterSample {
        cluster: "api".into(),
        panics: true,
        concurrency_limit: Some(42),
        endpoints: vec![sample.clone(), sample],
    };
    registry.set_cluster_source(Box::new(move || vec![cluster.clone()]));
    let certificate = CertificateSample { name: "a.test".into(), serial: "0A".into(), not_after: 1_800_000_000 };
    registry.set_certificate_source(Box::new(move || vec![certificate.clone(), certificate.clone()]));
    registry.certificate_reloaded(ReloadResult::Failure);
    registry
}

/// Without the lines whose values differ from run to run.
fn stable(text: &str) -> String {
    let varies = |line: &&str| {
        !["plimsoll_build_info{", "plimsoll_start_time_seconds ", "plimsoll_log_dropped_total ", "process_"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    text.lines().filter(varies).flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn a_small_registry_encodes_as_it_should() {
    let text = stable(&small_registry().encode());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/telemetry/golden_metrics.txt"), &text).unwrap();
        return;
    }
    let golden = include_str!("golden_metrics.txt");
    for (number, (line, expected)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, expected, "line {}; UPDATE_GOLDEN=1 writes the file anew", number + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}

#[test]
fn the_page_keeps_the_rules() {
    let text = small_registry().encode();
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut series = BTreeMap::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(help.len() > 5 && helped.insert(name), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(kinds.insert(name, kind).is_none(), "{line}");
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let (key, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(series.insert(key, value).is_none(), "duplicate: {key}");
            let name = key.split('{').next().unwrap();
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            match histogram.and_then(|base| kinds.get(base)) {
                Some(kind) => assert_eq!(*kind, "histogram", "{line}"),
                None => match kinds[name] {
                    "counter" => assert!(name.ends_with("_total"), "{line}"),
                    "gauge" => assert!(!name.ends_with("_total"), "{line}"),
                    other => panic!("{line} is a {other}"),
                },
            }
        }
    }
    assert_eq!(helped, kinds.keys().copied().collect());
    for (key, count) in series.iter().filter(|(key, _)| key.contains("_count")) {
        let (name, labels) = key.split_once("_count{").unwrap_or((key, ""));
        let last = format!("{name}_bucket{{le=\"+Inf\",{labels}");
        if let Some(bucket) = series.get(&*last) {
            assert_eq!(bucket, count, "{key}");
        } else {
            assert!(key.contains("_counter"), "{key} has no +Inf bucket");
        }
    }
    assert_eq!(series["plimsoll_connections_open{listener=\"web\"}"], 2.0);
    assert_eq!(series["plimsoll_connections_total{listener=\"web\"}"], 4.0);
    assert_eq!(series["plimsoll_requests_total{cluster=\"none\",class=\"4xx\"}"], 1.0);
    assert_eq!(series["plimsoll_plugin_calls_total{plugin=\"least-request\",role=\"balancer\"}"], 9.0);
    assert_eq!(series[r#"plimsoll_endpoint_weight{cluster="api",endpoint="hostile\"\\\nid"}"#], 3.0);
}
