use plimsoll_tests::{Nginx, Proxy, free_address, wait_for};
use serde_json::Value;

use super::{fails, passes, probing_by};
use crate::PLIMSOLL;

const PLACES: &str = "location = /up { return 200; } location = /down { return 503; }";

#[test]
fn of_several_probers_all_or_one_have_to_pass() {
    let nginx = Nginx::start(PLACES, &[]);
    let deaf = free_address().port();
    let up = "{ plugin: http, config: { path: /up } }";
    let down = "{ plugin: http, config: { path: /down } }";
    let elsewhere = format!("{{ plugin: tcp, port: {deaf} }}");
    let by = |probes: String| probing_by(nginx.address(), &probes);
    passes(&by(format!("all: [ {up}, {{ plugin: tcp }} ]")));
    let proxy = by(format!("all: [ {up}, {down}, {elsewhere} ]"));
    fails(&proxy, "http: expected status 200-399, got 503; tcp: connecting failed: Connection refused");
    let report = proxy.admin_json("GET", "/v1/clusters/app", None);
    assert_eq!(report["probe"], "http, http, tcp");
    passes(&by(format!("any: [ {elsewhere}, {down}, {up} ]")));
    fails(&by(format!("any: [ {elsewhere}, {down} ]")), "tcp: connecting failed");
}

#[test]
fn a_cluster_that_tracks_another_takes_over_what_its_probes_say() {
    let (one, two) = (Nginx::start(PLACES, &[]), Nginx::start(PLACES, &[]));
    let (a, b) = (one.address(), two.address());
    let config = |path: &str| {
        format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: checked
    health:
      evaluator: {{ plugin: thresholds, config: {{ rise: 1, fall: 1, initial: 1 }} }}
      probe: {{ interval: 20ms, plugin: http, config: {{ path: {path} }} }}
    endpoints: [ {{ id: a, address: \"{a}\" }}, {{ id: b, address: \"{b}\" }} ]
  - name: app
    health: {{ track: checked, evaluator: {{ plugin: thresholds, config: {{ rise: 1, fall: 3, initial: 1 }} }} }}
    endpoints: [ {{ id: b, address: \"{b}\" }}, {{ id: c, address: \"{a}\" }} ]"
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config("/up"));
    let endpoint = |at: usize| -> Value { proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][at].clone() };
    wait_for("the one of the same id", || (endpoint(0)["availability"] == "ready").then_some(()));
    // Of nobody's id: nothing is known of it.
    assert_eq!(
        (&endpoint(1)["availability"], &endpoint(1)["probes"]),
        (&"unavailable".into(), &Value::Array(Vec::new()))
    );
    assert_eq!(proxy.admin_json("GET", "/v1/clusters/app", None)["track"], "checked");
    proxy.write_config(&config("/down"));
    proxy.signal(plimsoll_tests::Signal::Hup);
    wait_for("it to be out", || (endpoint(0)["availability"] == "unavailable").then_some(()));
    let reason = endpoint(0)["reason"].to_string();
    assert!(reason.contains("3 probes in a row failed: expected status 200-399, got 503"), "{reason}");
}
