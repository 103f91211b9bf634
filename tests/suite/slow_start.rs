//! Endpoints that warm up.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_tests::{Endpoint, Proxy, get, read_request, wait_for};
use serde_json::{Value, json};

use crate::PLIMSOLL;

fn config(endpoints: &[&Endpoint], slow_start: &str) -> String {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    format!(
        "admin: {{ bind: \"127.0.0.1:0\" }}
workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    {slow_start}
    endpoints: [ {} ]",
        addresses.join(", ")
    )
}

fn ramps(proxy: &Proxy) -> Vec<u64> {
    let report: Value = proxy.admin_json("GET", "/v1/clusters/app", None);
    let endpoints = report["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.iter().map(|endpoint| endpoint["ramp"].as_u64().expect("a ramp")).collect()
}

/// How many of so many answers come from the endpoint `two`.
fn answers_of_two(proxy: &Proxy, requests: usize) -> usize {
    let web = proxy.address("web");
    (0..requests).filter(|_| get(web, "/").text() == "two").count()
}

fn set_enabled(proxy: &Proxy, endpoint: &Endpoint, enabled: bool) {
    let path = format!("/v1/clusters/app/endpoints/{}", endpoint.address());
    proxy.admin_json("PATCH", &path, Some(json!({ "enabled": enabled }).to_string().as_bytes()));
}

const LONG: &str = "slow_start: { duration: 1h, min_weight_percent: 25 }";

#[test]
fn at_the_start_nobody_warms_up() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(PLIMSOLL, &config(&[&one, &two], LONG));
    assert_eq!(ramps(&proxy), [1000, 1000]);
    assert_eq!(answers_of_two(&proxy, 20), 10);
}

#[test]
fn an_added_endpoint_begins_with_the_minimum() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(PLIMSOLL, &config(&[&one], LONG));
    proxy.admin_json("PUT", "/v1/config", Some(config(&[&one, &two], LONG).as_bytes()));
    assert_eq!(ramps(&proxy), [1000, 250]);
    assert_eq!(answers_of_two(&proxy, 50), 10, "a quarter of the weight is a fifth of the requests");
    assert!((proxy.metric("plimsoll_endpoint_ramp_ratio{cluster=\"app\"") - 1.25).abs() < 1e-9);
    // Another configuration does not begin it anew, and one without it ends it.
    proxy.admin_json("PUT", "/v1/config", Some(config(&[&one, &two], LONG).as_bytes()));
    assert_eq!(ramps(&proxy), [1000, 250]);
    proxy.admin_json("PUT", "/v1/config", Some(config(&[&one, &two], "").as_bytes()));
    assert_eq!(ramps(&proxy), [1000, 1000]);
}

#[test]
fn an_endpoint_that_comes_back_warms_up_to_its_whole_weight() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let slow_start = "slow_start: { duration: 2s, min_weight_percent: 1 }";
    let proxy = Proxy::start(PLIMSOLL, &config(&[&one, &two], slow_start));
    set_enabled(&proxy, &two, false);
    wait_for("no requests for it", || (answers_of_two(&proxy, 5) == 0).then_some(()));
    let generation = || proxy.admin_json("GET", "/v1/clusters/app", None)["generation"].as_u64().expect("a number");
    let before = generation();
    set_enabled(&proxy, &two, true);
    assert!(ramps(&proxy)[1] < 900);
    wait_for("the whole weight", || (ramps(&proxy) == [1000, 1000]).then_some(()));
    let steps = generation() - before;
    assert!((3..=21).contains(&steps), "{steps} steps");
    wait_for("its whole share", || (answers_of_two(&proxy, 20) == 10).then_some(()));
}

#[test]
fn an_endpoint_that_probes_take_out_warms_up_when_they_let_it_in() {
    let well = Arc::new(AtomicBool::new(true));
    let wellness = well.clone();
    let one = Endpoint::scripted(Arc::new(move |mut stream| {
        while read_request(&mut stream).is_some() {
            let status = if wellness.load(Ordering::Relaxed) { "200 OK" } else { "500 Broken" };
            if stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).is_err() {
                return;
            }
        }
    }));
    let health = "health: { probe: { plugin: http, interval: 50ms } }";
    let proxy = Proxy::start(PLIMSOLL, &config(&[&one], &format!("{LONG}\n    {health}")));
    let availability = || proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["availability"].clone();
    wait_for("the first probes", || (availability() == "ready").then_some(()));
    assert_eq!(ramps(&proxy), [1000], "it was there when the cluster began");
    well.store(false, Ordering::Relaxed);
    wait_for("the endpoint to go", || (availability() == "unavailable").then_some(()));
    well.store(true, Ordering::Relaxed);
    wait_for("the endpoint to come back", || (availability() == "ready").then_some(()));
    assert_eq!(ramps(&proxy), [250]);
}
