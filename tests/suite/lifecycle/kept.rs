//! What a change leaves as it is keeps all that it knows.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_tests::{Endpoint, Proxy, get, guest, read_request, wait_for};

use crate::PLIMSOLL;

/// Answers 500 until it is well.
fn sick(well: &Arc<AtomicBool>) -> Endpoint {
    let well = well.clone();
    Endpoint::scripted(Arc::new(move |mut stream| {
        while read_request(&mut stream).is_some() {
            let status = if well.load(Ordering::Relaxed) { "200 OK" } else { "500 Sick" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\nsick");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }))
}

/// A cluster `app` of these endpoints that take turns, with further settings, and then other clusters.
fn config(endpoints: &[&Endpoint], settings: &str, others: &str) -> String {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    format!(
        "admin: {{ bind: \"127.0.0.1:0\" }}
workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin, config: {{ random_start: false }} }}
    endpoints: [ {} ]
{settings}
{others}",
        addresses.join(", ")
    )
}

fn another(name: &str, balancer: &str) -> String {
    format!("  - {{ name: {name}, balancer: {{ plugin: {balancer} }}, endpoints: [ \"127.0.0.1:9\" ] }}\n")
}

fn put(proxy: &Proxy, config: &str) {
    let response = proxy.admin("PUT", "/v1/config", Some(config.as_bytes()));
    assert_eq!(response.status, 200, "{}", response.text());
}

fn asked(web: SocketAddr, times: usize) -> String {
    (0..times).map(|_| get(web, "/").text()).collect()
}

fn health(proxy: &Proxy, position: usize) -> String {
    let report = proxy.admin_json("GET", "/v1/clusters/app", None);
    report["endpoints"][position]["health"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn turns_go_on_where_they_were_whatever_else_changes() {
    let fleet: Vec<Endpoint> = ["a", "b", "c"].into_iter().map(Endpoint::named).collect();
    let fleet: Vec<&Endpoint> = fleet.iter().collect();
    let proxy = Proxy::start(PLIMSOLL, &config(&fleet, "", ""));
    let web = proxy.address("web");
    assert_eq!(asked(web, 4), "abca");
    put(&proxy, &config(&fleet, "", &another("other", "round-robin")));
    assert_eq!(asked(web, 1), "b");
    // Far more changes than there may be instances of a plugin.
    for change in 0..10 {
        let others =
            format!("{}{}", another("other", "round-robin"), another(&format!("more-{change}"), "round-robin"));
        put(&proxy, &config(&fleet, "", &others));
    }
    assert_eq!(asked(web, 1), "c");
    // Its other settings, its affinity, and its endpoints are not its balancer.
    put(&proxy, &config(&fleet, "    max_attempts: 2\n    timeouts: { connect: 1s }", ""));
    assert_eq!(asked(web, 1), "a");
    put(&proxy, &config(&fleet, "    affinity: { plugin: source-ip }", ""));
    put(&proxy, &config(&fleet, "", ""));
    assert_eq!(asked(web, 1), "b");
    put(&proxy, &config(&fleet[..2], "", ""));
    assert_eq!(asked(web, 4).matches('a').count(), 2, "those that stay keep their turns");
}

#[test]
fn turns_go_on_through_uploads_of_other_plugins() {
    let fleet: Vec<Endpoint> = ["a", "b", "c"].into_iter().map(Endpoint::named).collect();
    let fleet: Vec<&Endpoint> = fleet.iter().collect();
    let proxy = Proxy::start(PLIMSOLL, &config(&fleet, "", &another("other", "random")));
    let web = proxy.address("web");
    assert_eq!(asked(web, 2), "ab");
    let path = "/v1/plugins/random?conformance=off";
    let response = proxy.admin("PUT", path, Some(guest("first")));
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(asked(web, 2), "ca");
    assert_eq!(proxy.admin("POST", "/v1/plugins/random/rollback", None).status, 200);
    assert_eq!(asked(web, 2), "bc");
}

#[test]
fn failures_in_a_row_are_counted_on_through_reloads() {
    let (bad, good) = (sick(&Arc::default()), Endpoint::named("good"));
    let settings = "    health: { evaluator: { plugin: thresholds, config: { passive: { failures: 3, eject_for: 300s, statuses: [ 500 ] } } } }";
    let proxy = Proxy::start(PLIMSOLL, &config(&[&bad, &good], settings, ""));
    let web = proxy.address("web");
    assert_eq!(asked(web, 4), "sickgoodsickgood");
    // What has been counted is told in batches: by now surely.
    wait_for("the proxy to have heard of the failures", || {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None);
        (report["endpoints"][0]["failures"] == 2).then_some(())
    });
    put(&proxy, &config(&[&bad, &good], settings, &another("other", "round-robin")));
    assert_eq!(asked(web, 1), "sick");
    wait_for("the third failure in a row to eject", || (health(&proxy, 0) == "unhealthy").then_some(()));
    put(&proxy, &config(&[&bad, &good], settings, ""));
    assert_eq!(health(&proxy, 0), "unhealthy", "out of service through reloads");
    assert_eq!(asked(web, 2), "goodgood");
}

#[test]
fn who_is_ejected_comes_back_in_spite_of_reloads() {
    let well = Arc::new(AtomicBool::new(false));
    let (bad, good) = (sick(&well), Endpoint::named("good"));
    let settings = |lasts: &str| {
        format!(
            "    health: {{ evaluator: {{ plugin: thresholds, config: {{ passive: {{ failures: 1, eject_for: {lasts}, statuses: [ 500 ] }} }} }} }}"
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config(&[&bad, &good], &settings("1s"), ""));
    let web = proxy.address("web");
    assert_eq!(asked(web, 1), "sick");
    wait_for("the ejection", || (health(&proxy, 0) == "unhealthy").then_some(()));
    put(&proxy, &config(&[&bad, &good], &settings("1s"), &another("other", "round-robin")));
    wait_for("the end of the ejection", || (health(&proxy, 0) == "healthy").then_some(()));
    wait_for("another ejection", || (asked(web, 1) == "sick").then_some(()));
    wait_for("another ejection", || (health(&proxy, 0) == "unhealthy").then_some(()));
    // An evaluator that is replaced cannot end what the one before it began.
    put(&proxy, &config(&[&bad, &good], &settings("300s"), ""));
    assert_eq!(health(&proxy, 0), "healthy");
}
