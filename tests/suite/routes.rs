//! What a router says of a route holds for its requests, and for no others.

use std::process::Command;
use std::time::{Duration, Instant};

use plimsoll_tests::{Endpoint, Proxy, Response, get, read_request, request};

use crate::PLIMSOLL;

/// A proxy whose router `rules` has these routes, with a cluster `app` of these endpoints.
fn routed(endpoints: &[&Endpoint], routes: &str, listener: &str, cluster: &str) -> Proxy {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, router: {{ plugin: rules, config: {{ routes: [ {routes} ] }} }}, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ {} ], {cluster} }} ]",
            addresses.join(", ")
        ),
    )
}

/// Reads a request and answers nothing.
fn silent() -> Endpoint {
    Endpoint::scripted(std::sync::Arc::new(|mut stream| {
        if read_request(&mut stream).is_some() {
            std::thread::park();
        }
    }))
}

fn timed(proxy: &Proxy, path: &str) -> (Response, Duration) {
    let begun = Instant::now();
    (get(proxy.address("web"), path), begun.elapsed())
}

#[test]
fn a_route_has_timeouts_of_its_own() {
    let silent = silent();
    let routes = "{ match: { path_prefix: /quick }, cluster: app, timeouts: { request: 100ms } },
        { match: { path_prefix: /byte }, cluster: app, timeouts: { first_byte: 100ms, request: 0s } },
        { cluster: app }";
    let proxy = routed(&[&silent], routes, "timeouts: { request: 1500ms }", "timeouts: { first_byte: 30s }");
    for path in ["/quick", "/byte"] {
        let (response, took) = timed(&proxy, path);
        assert_eq!(response.status, 504, "{path}");
        assert!(took >= Duration::from_millis(100) && took < Duration::from_millis(1400), "{path} took {took:?}");
    }
    let (response, took) = timed(&proxy, "/");
    assert_eq!(response.status, 504);
    assert!(took >= Duration::from_millis(1500), "took {took:?}");
}

#[test]
fn a_route_says_how_often_its_requests_are_tried() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    one.close();
    two.close();
    let routes = "{ match: { path_prefix: /once }, cluster: app, max_attempts: 1 }, { cluster: app }";
    let proxy = routed(&[&one, &two], routes, "", "health: { max_ejected_percent: 0 }");
    let failures = || proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"connect_failure\"}");
    assert_eq!(get(proxy.address("web"), "/once").status, 502);
    assert_eq!(failures(), 1.0);
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    assert_eq!(failures(), 4.0);
}

#[test]
fn a_route_says_after_which_answers_and_what_is_tried_again() {
    let sick = Endpoint::answering("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    let one = Endpoint::named("one");
    let routes = "{ match: { path_prefix: /read }, cluster: app, retries: { statuses: [503] } },
        { match: { path_prefix: /write }, cluster: app, retries: { statuses: [502, 503], non_idempotent: true } },
        { cluster: app }";
    let proxy = routed(
        &[&sick, &one],
        routes,
        "",
        "balancer: { plugin: round-robin }, health: { max_ejected_percent: 0 }, retries: { statuses: [500] }",
    );
    let web = proxy.address("web");
    let failed = |method: &str, path: &str| {
        let body = (method == "POST").then_some(b"abc".as_slice());
        (0..4).filter(|_| request(web, method, path, &[], body).status == 503).count()
    };
    let counted = ["/read", "/write", "/"].map(|path| (failed("GET", path), failed("POST", path)));
    assert_eq!(counted, [(0, 2), (0, 0), (2, 2)]);
}

#[test]
fn a_route_may_leave_its_clients_unbound() {
    let one = Endpoint::named("one");
    let routes = "{ match: { path_prefix: /free }, cluster: app, affinity: none }, { cluster: app }";
    let proxy = routed(&[&one], routes, "", "affinity: { plugin: cookie }");
    assert!(get(proxy.address("web"), "/").header("set-cookie").is_some());
    assert_eq!(get(proxy.address("web"), "/free").header("set-cookie"), None);
}

#[test]
fn a_setting_that_would_have_no_effect_is_refused_with_its_place() {
    let file = std::env::temp_dir().join(format!("plimsoll-routes-{}.yaml", std::process::id()));
    let check = |protocol: &str| {
        let config = format!(
            "listeners:
  - name: web
    bind: 127.0.0.1:0
    protocol: {protocol}
    router: {{ plugin: rules, config: {{ routes: [ {{ name: slow, cluster: app, timeouts: {{ request: 1s }} }} ] }} }}
clusters: [ {{ name: app, endpoints: [ \"127.0.0.1:1\" ] }} ]"
        );
        std::fs::write(&file, config).expect("room for a file");
        let output = Command::new(PLIMSOLL).arg("check").arg(&file).output().expect("the binary starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(check("http").0);
    let (is_right, told) = check("tcp");
    let _ = std::fs::remove_file(&file);
    assert!(!is_right && told.contains(":5:") && told.contains("`timeouts` are those of requests"), "{told}");
}
