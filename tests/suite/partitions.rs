//! Clusters that a partitioner divides: the balancer that it wraps chooses inside a group.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;

use plimsoll_tests::{
    Connection, Endpoint, Gate, Proxy, Refusing, Response, guest, guest_path, read_request, request, wait_for,
};

use crate::PLIMSOLL;

/// A proxy before endpoints with these settings each.
fn divided(endpoints: &[(&Endpoint, &str)], cluster: &str) -> Proxy {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|(endpoint, settings)| format!("{{ address: \"{}\", {settings} }}", endpoint.address()))
        .collect();
    let config = format!(
        "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ {} ], {cluster} }} ]",
        endpoints.join(", ")
    );
    Proxy::start(PLIMSOLL, &config)
}

fn ask(proxy: &Proxy, headers: &[(&str, &str)]) -> Response {
    request(proxy.address("web"), "GET", "/", headers, None)
}

/// Who answered how many of `requests`.
fn counts(proxy: &Proxy, requests: usize, headers: &[(&str, &str)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(ask(proxy, headers).text()).or_default() += 1;
    }
    counts
}

fn of(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

const ROUND_ROBIN_LINE: &str = "balancer: { plugin: round-robin }";
const ROUND_ROBIN: &str = "balancer: { plugin: round-robin, config: { random_start: false } }";

#[test]
fn a_subset_is_balanced_by_the_balancer_that_it_wraps() {
    let names = ["old", "new-1", "new-2", "plain"];
    let endpoints = names.map(Endpoint::named);
    let labels = ["1", "2", "2"].map(|version| format!("metadata: {{ version: \"{version}\" }}"));
    let proxy = divided(
        &[
            (&endpoints[0], &labels[0]),
            (&endpoints[1], &labels[1]),
            (&endpoints[2], &labels[2]),
            (&endpoints[3], "weight: 1"),
        ],
        &format!("{ROUND_ROBIN}, partitioners: [ {{ plugin: subset }} ]"),
    );
    assert_eq!(counts(&proxy, 6, &[("x-version", "1")]), of(&[("old", 6)]));
    assert_eq!(counts(&proxy, 6, &[("x-version", "2")]), of(&[("new-1", 3), ("new-2", 3)]));
    assert_eq!(counts(&proxy, 8, &[]), of(&[("old", 2), ("new-1", 2), ("new-2", 2), ("plain", 2)]));
}

#[test]
fn the_next_priority_takes_over_what_the_first_cannot_carry() {
    let names = ["first-1", "first-2", "second"];
    let endpoints = names.map(Endpoint::named);
    let proxy = divided(
        &[(&endpoints[0], "id: a"), (&endpoints[1], "id: b"), (&endpoints[2], "id: c, priority: 1")],
        &format!("{ROUND_ROBIN}, partitioners: [ {{ plugin: priority }} ]"),
    );
    assert_eq!(counts(&proxy, 4, &[]), of(&[("first-1", 2), ("first-2", 2)]));
    for id in ["a", "b"] {
        proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{id}"), Some(br#"{"enabled": false}"#));
    }
    wait_for("the second level to take over", || (ask(&proxy, &[]).text() == "second").then_some(()));
    assert_eq!(counts(&proxy, 4, &[]), of(&[("second", 4)]));
}

#[test]
fn partitioners_can_wrap_partitioners() {
    let names = ["here-1", "here-2", "there-1"];
    let endpoints = names.map(Endpoint::named);
    let settings = [
        "zone: here, metadata: { version: \"1\" }",
        "zone: here, metadata: { version: \"2\" }",
        "zone: there, metadata: { version: \"1\" }",
    ];
    let pairs: Vec<(&Endpoint, &str)> = endpoints.iter().zip(settings).collect();
    let proxy = divided(
        &pairs,
        "partitioners: [ { plugin: locality, config: { zone: here } }, { plugin: subset, config: { fallback: none } } ]",
    );
    assert_eq!(counts(&proxy, 5, &[("x-version", "1")]), of(&[("here-1", 5)]));
    assert_eq!(counts(&proxy, 5, &[("x-version", "2")]), of(&[("here-2", 5)]));
    assert_eq!(ask(&proxy, &[("x-version", "3")]).status, 503);
}

#[test]
fn the_zone_of_the_proxy_is_where_locality_keeps_requests() {
    let (here, there) = (Endpoint::named("here"), Endpoint::named("there"));
    let config = format!(
        "workers: 1
node: {{ zone: east }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    partitioners: [ {{ plugin: locality, config: {{ overprovisioning_percent: 200 }} }} ]
    endpoints: [ {{ address: \"{}\", zone: east }}, {{ address: \"{}\", zone: west }} ]",
        here.address(),
        there.address()
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    assert_eq!(counts(&proxy, 20, &[]), of(&[("here", 20)]));
}

#[test]
fn a_configuration_that_a_partitioner_refuses_is_told_with_its_line() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("partitions-check.yaml");
    let config = "listeners: [ { name: web, bind: 127.0.0.1:0, cluster: app } ]
clusters:
  - name: app
    endpoints: [ \"127.0.0.1:1\" ]
    partitioners:
      - plugin: subset
        config: { fallback: default }
      - plugin: round-robin
";
    std::fs::write(&file, config).expect("the configuration");
    let output = Command::new(PLIMSOLL).arg("check").arg(&file).output().expect("the check runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("yaml:8:") && told.contains("partitioner"), "{told}");
}

#[test]
fn a_partitioner_that_fails_costs_no_request() {
    let path = guest_path("faulty");
    for fault in ["trap", "loop", "lie"] {
        let endpoints = ["one", "two"].map(Endpoint::named);
        let config = format!(
            "workers: 1
plugins: [ {{ name: faulty, path: {path:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    endpoints: [ \"{}\", \"{}\" ]
    {ROUND_ROBIN_LINE}
    partitioners: [ {{ plugin: faulty, config: {{ fault: {fault}, times: 1 }} }} ]",
            endpoints[0].address(),
            endpoints[1].address(),
        );
        let proxy = Proxy::start(PLIMSOLL, &config);
        for _ in 0..50 {
            assert_eq!(ask(&proxy, &[]).status, 200, "{fault}");
        }
        let fallbacks = proxy.metric("plimsoll_plugin_fallbacks_total");
        assert!(fallbacks >= 1.0, "{fault}: the balancer chose among all");
        wait_for("the partitioner to decide again", || (0..4).all(|_| ask(&proxy, &[]).text() == "one").then_some(()));
    }
}

const STRICT: &str = "partitioners: [ { plugin: subset, config: { fallback: none } } ]";

/// A proxy before an endpoint of version 1, at this address and with these settings, and one of version 2.
fn versions(first: &str, settings: &str, second: &Endpoint, cluster: &str) -> Proxy {
    let faulty = guest_path("faulty");
    let config = format!(
        "workers: 1
plugins: [ {{ name: faulty, path: {faulty:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    endpoints:
      - {{ address: \"{first}\", metadata: {{ version: \"1\" }}, {settings} }}
      - {{ address: \"{}\", metadata: {{ version: \"2\" }} }}
    {cluster}",
        second.address()
    );
    Proxy::start(PLIMSOLL, &config)
}

#[test]
fn a_request_that_is_tried_again_stays_in_its_subset() {
    let (dead, second) = (Refusing::reserve(), Endpoint::named("two"));
    // Nobody is ejected: a subset of nobody would answer 503.
    let settings =
        format!("{STRICT}\n    health: {{ evaluator: {{ plugin: thresholds, config: {{ passive: off }} }} }}");
    let proxy = versions(&dead.to_string(), "weight: 1", &second, &settings);
    for _ in 0..5 {
        assert_eq!(ask(&proxy, &[("x-version", "1")]).status, 502);
    }
    assert_eq!(ask(&proxy, &[("x-version", "2")]).text(), "two");
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0, "there was nothing wrong with a choice");
}

#[test]
fn a_full_subset_spills_nowhere_and_holds_nobody_else_up() {
    let gate = Gate::default();
    let held = gate.clone();
    let first = Endpoint::scripted(Arc::new(move |mut stream: std::net::TcpStream| {
        while read_request(&mut stream).is_some() {
            held.pass();
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").is_err() {
                return;
            }
        }
    }));
    let second = Endpoint::named("two");
    let settings = format!("{STRICT}\n    queue: {{ timeout: 60s }}");
    let proxy = versions(&first.address().to_string(), "max_connections: 1", &second, &settings);
    let begin = || {
        let mut client = Connection::open(proxy.address("web"));
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx-version: 1\r\n\r\n");
        client
    };
    let mut begun = begin();
    gate.wait_for_arrivals(1);
    let mut waiting = begin();
    wait_for("the request to wait", || (proxy.metric("plimsoll_queue_length") == 1.0).then_some(()));
    assert_eq!(ask(&proxy, &[("x-version", "2")]).text(), "two", "the other subset has room");
    gate.open();
    for client in [&mut begun, &mut waiting] {
        assert_eq!(client.response().expect("an answer").text(), "one");
    }
}

#[test]
fn a_balancer_that_fails_is_stood_in_for_in_the_group() {
    for fault in ["trap", "lie"] {
        let endpoints = ["one", "two"].map(Endpoint::named);
        let settings = format!("balancer: {{ plugin: faulty, config: {{ fault: {fault} }} }}\n    {STRICT}");
        let proxy = versions(&endpoints[0].address().to_string(), "weight: 1", &endpoints[1], &settings);
        assert_eq!(counts(&proxy, 20, &[("x-version", "1")]), of(&[("one", 20)]), "{fault}");
        assert_eq!(counts(&proxy, 20, &[("x-version", "2")]), of(&[("two", 20)]), "{fault}");
        assert!(proxy.metric("plimsoll_plugin_fallbacks_total") >= 40.0, "{fault}");
    }
}

#[test]
fn while_a_strict_partitioner_fails_requests_are_refused() {
    for fault in ["trap", "lie"] {
        let endpoints = ["one", "two"].map(Endpoint::named);
        let settings =
            format!("partitioners: [ {{ plugin: faulty, config: {{ fault: {fault}, times: 1, strict: true }} }} ]");
        let proxy = versions(&endpoints[0].address().to_string(), "weight: 1", &endpoints[1], &settings);
        assert_eq!(ask(&proxy, &[]).status, 503, "{fault}");
        wait_for("the partitioner to decide again", || (ask(&proxy, &[]).status == 200).then_some(()));
        assert_eq!(counts(&proxy, 4, &[]), of(&[("one", 4)]), "{fault}");
    }
}

#[test]
fn endpoints_that_a_partitioner_failed_to_divide_are_divided_when_it_is_back() {
    let endpoints = ["one", "two"].map(Endpoint::named);
    let faulty = "partitioners: [ { plugin: faulty, config: { fault: trap, at: endpoints, times: 1, strict: true } } ]";
    let proxy = versions(&endpoints[0].address().to_string(), "id: one", &endpoints[1], faulty);
    assert_eq!(counts(&proxy, 4, &[]), of(&[("one", 4)]));
    let second = format!("/v1/clusters/app/endpoints/{}", endpoints[1].address());
    proxy.admin_json("PATCH", &second, Some(br#"{"enabled": false}"#));
    wait_for("a fault", || (proxy.metric("plimsoll_plugin_fallbacks_total") >= 1.0).then_some(()));
    wait_for("the partitioner to divide again", || (ask(&proxy, &[]).status == 200).then_some(()));
    assert_eq!(counts(&proxy, 4, &[]), of(&[("one", 4)]));
}

#[test]
fn both_the_partitioner_and_what_it_wraps_can_be_replaced_in_flight() {
    let endpoints = ["one", "two", "three"].map(Endpoint::named);
    let proxy = divided(
        &[
            (&endpoints[0], "metadata: { version: \"1\" }"),
            (&endpoints[1], "metadata: { version: \"1\" }"),
            (&endpoints[2], "metadata: { version: \"2\" }"),
        ],
        &format!("{ROUND_ROBIN}, partitioners: [ {{ plugin: subset }} ]"),
    );
    let wanted = [("x-version", "1")];
    assert_eq!(counts(&proxy, 4, &wanted), of(&[("one", 2), ("two", 2)]));
    // `last` takes the last of what it is shown, which is the group.
    proxy.admin_json("PUT", "/v1/plugins/round-robin", Some(guest("last")));
    assert_eq!(counts(&proxy, 4, &wanted), of(&[("two", 4)]));
    assert_eq!(counts(&proxy, 4, &[("x-version", "2")]), of(&[("three", 4)]));
    proxy.admin_json("POST", "/v1/plugins/round-robin/rollback", None);
    assert_eq!(counts(&proxy, 4, &wanted), of(&[("one", 2), ("two", 2)]));
}
