//! Balancers and affinities hear that time passes.

use plimsoll_tests::{Endpoint, Proxy, get, guest, guest_path, wait_for};

use crate::PLIMSOLL;

fn config(workers: usize, plugin: &str, policies: &str, endpoints: &[Endpoint]) -> String {
    let listed: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    format!(
        "admin: {{ bind: \"127.0.0.1:0\" }}
workers: {workers}
plugins: [ {{ name: ticking, path: {:?}, conformance: off }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, {policies}, endpoints: [ {} ] }} ]",
        guest_path(plugin),
        listed.join(", ")
    )
}

fn named() -> [Endpoint; 3] {
    ["one", "two", "three"].map(Endpoint::named)
}

fn answer(proxy: &Proxy) -> String {
    get(proxy.address("web"), "/").text()
}

fn wait_for_answer(proxy: &Proxy, name: &str) {
    wait_for(name, || (answer(proxy) == name).then_some(()));
}

fn ticks(proxy: &Proxy) -> f64 {
    proxy.metric("plimsoll_plugin_calls_total{plugin=\"ticking\",role=\"balancer\"")
}

#[test]
fn a_balancer_and_an_affinity_are_ticked_without_any_traffic() {
    let endpoints = named();
    let proxy = Proxy::start(PLIMSOLL, &config(2, "ticking", "balancer: { plugin: ticking }", &endpoints));
    let before = ticks(&proxy);
    wait_for("ticks on each worker", || (ticks(&proxy) >= before + 6.0).then_some(()));
    assert!((0..8).all(|_| answer(&proxy) == "two"));
    let policies = "balancer: { plugin: ticking, config: { every_ms: 3600000 } }, affinity: { plugin: ticking }";
    let proxy = Proxy::start(PLIMSOLL, &config(1, "ticking", policies, &endpoints));
    wait_for_answer(&proxy, "three");
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
    assert_eq!(proxy.metric("plimsoll_plugin_traps_total"), 0.0);
}

#[test]
fn ticks_go_on_after_a_reload_and_after_an_upload_and_end_with_the_policy() {
    let endpoints = named();
    let of = |balancer: &str| config(1, "ticking", &format!("balancer: {balancer}"), &endpoints);
    let proxy = Proxy::start(PLIMSOLL, &of("{ plugin: ticking, config: { every_ms: 3600000 } }"));
    assert_eq!(answer(&proxy), "one");
    let put = |config: &str| drop(proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes())));
    put(&of("{ plugin: ticking }"));
    wait_for_answer(&proxy, "two");
    proxy.admin_json("PUT", "/v1/plugins/ticking?conformance=off", Some(guest("first")));
    assert_eq!(answer(&proxy), "one");
    proxy.admin_json("PUT", "/v1/plugins/ticking?conformance=off", Some(guest("ticking")));
    wait_for_answer(&proxy, "two");
    put(&of("{ plugin: round-robin }"));
    // The worker has no policy of it any more: others tick in the time that it would have been ticked in.
    let after = ticks(&proxy);
    put(&of("{ plugin: round-robin }"));
    (0..200).for_each(|_| drop(answer(&proxy)));
    assert_eq!(ticks(&proxy), after);
}

#[test]
fn a_tick_that_fails_is_a_fault_as_any_other() {
    let endpoints = named();
    let failing = "balancer: { plugin: ticking, config: { fails_at: 3 } }";
    let proxy = Proxy::start(PLIMSOLL, &config(1, "ticking", failing, &endpoints));
    let faults = || proxy.metric("plimsoll_plugin_traps_total{plugin=\"ticking\",role=\"balancer\"");
    wait_for("a rebuilt instance to fail again", || (faults() >= 2.0).then_some(()));
    assert!(proxy.log().contains("tick 3 is too much"), "{}", proxy.log());
    assert!((0..20).all(|_| ["one", "two", "three"].contains(&answer(&proxy).as_str())));
    wait_for("quarantine", || proxy.log().contains("plugin is quarantined").then_some(()));
}

#[test]
fn a_candidate_is_ticked_beside_the_live_version() {
    let endpoints = named();
    let proxy = Proxy::start(PLIMSOLL, &config(1, "first", "balancer: { plugin: ticking }", &endpoints));
    proxy.admin_json("PUT", "/v1/plugins/ticking/shadow?conformance=off", Some(guest("ticking")));
    wait_for("the candidate to decide by its ticks", || {
        assert_eq!(answer(&proxy), "one");
        let report = proxy.admin_json("GET", "/v1/plugins/ticking", None);
        let decisions = report["shadow"]["roles"]["balancer"]["decisions"].clone();
        (decisions["different"].as_u64() > Some(0)).then_some(())
    });
}
