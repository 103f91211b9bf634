//! What the host keeps for plugins is bounded, and goes when what it was kept for does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll_tests::{Connection, Endpoint, Proxy, guest, guest_path, wait_for};

use crate::PLIMSOLL;

const MIB: f64 = (1 << 20) as f64;

/// A proxy with one worker and the plugin `hoarder`, which may have 4 MiB of memory.
fn hoarding(endpoint: &Endpoint, cluster: &str) -> Proxy {
    Proxy::start(PLIMSOLL, &config(endpoint, "app", cluster))
}

fn config(endpoint: &Endpoint, name: &str, cluster: &str) -> String {
    format!(
        "workers: 1
plugins: [ {{ name: hoarder, path: {:?}, conformance: off, limits: {{ memory: 4MiB }} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: {name} }} ]
clusters: [ {{ name: {name}, {cluster}, endpoints: [ {{ id: a, address: \"{}\" }} ] }} ]",
        guest_path("hoarder"),
        endpoint.address()
    )
}

const GREEDY: &str = "balancer: { plugin: hoarder, config: { entries: 8 } }";

fn ask(proxy: &Proxy, requests: usize) {
    let mut connection = Connection::open(proxy.address("web"));
    for number in 0..requests {
        connection.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        let response = connection.response().expect("an answer");
        assert_eq!(response.status, 200, "request {number}");
    }
}

fn table_bytes(proxy: &Proxy) -> f64 {
    proxy.metric("plimsoll_plugin_table_bytes{plugin=\"hoarder\"}")
}

fn policies(proxy: &Proxy, role: &str) -> f64 {
    proxy.metric(&format!("plimsoll_plugin_policies{{plugin=\"hoarder\",role=\"{role}\"}}"))
}

#[test]
fn a_table_has_the_memory_of_its_plugin_and_no_more() {
    let endpoint = Endpoint::named("a");
    let proxy = hoarding(&endpoint, GREEDY);
    let before = proxy.metric("process_resident_memory_bytes");
    // 64 MiB, if nobody bounded it.
    ask(&proxy, 2000);
    let bytes = table_bytes(&proxy);
    assert!((3.0 * MIB..=4.0 * MIB).contains(&bytes), "{bytes}");
    assert!(proxy.metric("plimsoll_plugin_table_evictions_total{plugin=\"hoarder\"}") > 10_000.0);
    let grown = proxy.metric("process_resident_memory_bytes") - before;
    assert!(grown < 32.0 * MIB, "{grown}");
    assert_eq!(proxy.metric("plimsoll_plugin_traps_total{plugin=\"hoarder\""), 0.0);
}

#[test]
fn the_table_of_a_cluster_that_is_gone_is_freed() {
    let endpoint = Endpoint::named("a");
    let proxy = hoarding(&endpoint, GREEDY);
    ask(&proxy, 200);
    assert!(table_bytes(&proxy) > 3.0 * MIB);
    let renamed = config(&endpoint, "renamed", "balancer: { plugin: hoarder }");
    proxy.admin_json("PUT", "/v1/config", Some(renamed.as_bytes()));
    wait_for("the table of the cluster to be freed", || (table_bytes(&proxy) < MIB / 64.0).then_some(()));
}

#[test]
fn what_a_policy_remembers_survives_a_reload_an_upload_and_a_rollback() {
    let endpoint = Endpoint::named("a");
    let proxy = hoarding(&endpoint, GREEDY);
    let remembered = |what: &str| {
        let bytes = table_bytes(&proxy);
        assert!(bytes > 3.0 * MIB, "{bytes} after {what}");
    };
    ask(&proxy, 200);
    remembered("requests");
    let config = config(&endpoint, "app", GREEDY);
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    remembered("a reload");
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    remembered("another reload");
    proxy.admin_json("PUT", "/v1/plugins/hoarder?conformance=off", Some(guest("first")));
    remembered("an upload");
    proxy.admin_json("POST", "/v1/plugins/hoarder/rollback", None);
    remembered("a rollback");
}

#[test]
fn policies_of_groups_end_with_their_groups() {
    let endpoint = Endpoint::named("a");
    let proxy = hoarding(
        &endpoint,
        "balancer: { plugin: hoarder, config: { entries: 1 } }, partitioners: [ { plugin: hoarder } ]",
    );
    assert_eq!((policies(&proxy, "balancer"), policies(&proxy, "partitioner")), (5.0, 1.0));
    for weight in 2..40 {
        let patch = format!("{{\"weight\": {weight}}}");
        proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/a", Some(patch.as_bytes()));
    }
    ask(&proxy, 10);
    assert_eq!((policies(&proxy, "balancer"), policies(&proxy, "partitioner")), (5.0, 1.0));
    let bytes = table_bytes(&proxy);
    assert!(bytes < MIB / 4.0, "tables of groups end with them: {bytes}");
    assert_eq!(proxy.metric("plimsoll_plugin_traps_total{plugin=\"hoarder\""), 0.0);
}

#[test]
fn policies_of_groups_within_groups_end_with_those() {
    let endpoint = Endpoint::named("a");
    let proxy = hoarding(
        &endpoint,
        "balancer: { plugin: hoarder }, partitioners: [ { plugin: hoarder }, { plugin: hoarder } ]",
    );
    let expected = (1.0 + 4.0 * 4.0, 2.0 + 4.0);
    assert_eq!((policies(&proxy, "balancer"), policies(&proxy, "partitioner")), expected);
    for weight in 2..20 {
        let patch = format!("{{\"weight\": {weight}}}");
        proxy.admin_json("PATCH", "/v1/clusters/app/endpoints/a", Some(patch.as_bytes()));
    }
    ask(&proxy, 10);
    assert_eq!((policies(&proxy, "balancer"), policies(&proxy, "partitioner")), expected);
}

#[test]
fn an_evaluator_that_newly_wants_outcomes_and_ticks_gets_them() {
    let endpoint = Endpoint::named("a");
    let config = format!(
        "workers: 2
plugins: [ {{ name: judge, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, health: {{ evaluator: {{ plugin: judge }} }}, endpoints: [ \"{}\" ] }} ]",
        guest_path("faulty"),
        endpoint.address()
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    ask(&proxy, 10);
    proxy.admin_json("PUT", "/v1/plugins/judge?conformance=off", Some(guest("alert")));
    wait_for("outcomes to be heard", || {
        ask(&proxy, 1);
        proxy.log().contains("it heard an outcome").then_some(())
    });
    proxy.wait_for_log("it heard a tick", "");
    proxy.admin_json("POST", "/v1/plugins/judge/rollback", None);
    let calls = || proxy.metric("plimsoll_plugin_calls_total{plugin=\"judge\",role=\"health\"}");
    wait_for("the version before to be left alone", || {
        let before = calls();
        ask(&proxy, 10);
        std::thread::sleep(Duration::from_millis(200));
        (calls() == before).then_some(())
    });
}

#[test]
fn the_first_upload_over_a_built_in_plugin_holds_up_nobody() {
    let endpoint = Endpoint::named("a");
    let config = format!(
        "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    let done = AtomicBool::new(false);
    let upload = |name: &str| {
        let begun = Instant::now();
        proxy.admin_json("PUT", &format!("/v1/plugins/{name}?conformance=off"), Some(guest("first")));
        begun.elapsed()
    };
    std::thread::scope(|scope| {
        let longest = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                assert_eq!(proxy.admin("GET", "/healthz", None).status, 200);
                longest = longest.max(begun.elapsed());
            }
            longest
        });
        // Of some there is more to compile than of what is uploaded.
        let took = ["rules", "maglev", "cookie"].map(upload).into_iter().max().unwrap_or_default();
        done.store(true, Ordering::Relaxed);
        let longest = longest.join().expect("every question is answered");
        assert!(longest < took / 2, "an answer took {longest:?} while an upload took {took:?}");
    });
}
