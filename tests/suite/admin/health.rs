//! Health as the reports and the traffic show it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_tests::{Endpoint, Proxy, Refusing, get, read_request, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// Answers 200 while it is `well`, and 500 otherwise.
fn moody(name: &'static str, well: Arc<AtomicBool>) -> Endpoint {
    Endpoint::scripted(Arc::new(move |mut stream| {
        while read_request(&mut stream).is_some() {
            let status = if well.load(Ordering::Relaxed) { "200 OK" } else { "500 Broken" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }))
}

fn report(proxy: &Proxy, position: usize) -> Value {
    proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][position].clone()
}

#[test]
fn an_endpoint_that_fails_its_probes_goes_and_comes_back() {
    let well = Arc::new(AtomicBool::new(true));
    let (one, two) = (moody("one", well.clone()), Endpoint::named("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health:
      evaluator: {{ plugin: thresholds, config: {{ rise: 2, fall: 2 }} }}
      probe: {{ plugin: http, interval: 50ms, config: {{ path: /health }} }}
    endpoints: [ \"{}\", \"{}\" ]",
            one.address(),
            two.address()
        ),
    );
    let web = proxy.address("web");
    wait_for("probes", || two.requests().iter().any(|head| head.starts_with("GET /health ")).then_some(()));
    assert_eq!(report(&proxy, 0)["availability"], "ready");
    well.store(false, Ordering::Relaxed);
    let out = wait_for("the endpoint to go", || {
        Some(report(&proxy, 0)).filter(|report| report["availability"] == "unavailable")
    });
    assert_eq!(out["health"], "unhealthy");
    assert!(out["reason"].as_str().is_some_and(|reason| reason.contains("500")), "{out:#}");
    assert_eq!(report(&proxy, 1)["availability"], "ready");
    let status = proxy.admin_json("GET", "/v1/status", None);
    assert_eq!(status["endpoints_available"], 1);
    wait_for("the workers to know", || (0..10).all(|_| get(web, "/").text() == "two").then_some(()));
    assert!((0..30).all(|_| get(web, "/").text() == "two"));
    well.store(true, Ordering::Relaxed);
    let back = wait_for("the endpoint to come back", || {
        Some(report(&proxy, 0)).filter(|report| report["availability"] == "ready")
    });
    assert!(back["reason"].is_null(), "{back:#}");
    wait_for("traffic", || (get(web, "/").text() == "one").then_some(()));
}

#[test]
fn an_endpoint_that_refuses_connections_is_ejected_and_no_request_fails() {
    let (one, gone) = (Endpoint::named("one"), Refusing::reserve());
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    balancer: {{ plugin: round-robin }}
    health: {{ evaluator: {{ plugin: thresholds, config: {{ passive: {{ failures: 3, eject_for: 300s }} }} }} }}
    endpoints: [ \"{}\", \"{gone}\" ]",
            one.address()
        ),
    );
    let web = proxy.address("web");
    let out = wait_for("the ejection", || {
        assert_eq!(get(web, "/").status, 200);
        Some(report(&proxy, 1)).filter(|report| report["availability"] == "unavailable")
    });
    assert!(out["reason"].as_str().is_some_and(|reason| reason.contains("ejected")), "{out:#}");
    let failures = || report(&proxy, 1)["failures"].as_u64().expect("a number");
    assert!(failures() >= 3, "{out:#}");
    wait_for("the worker to know", || {
        let before = failures();
        assert!((0..10).all(|_| get(web, "/").status == 200));
        (failures() == before).then_some(())
    });
    let before = failures();
    assert!((0..40).all(|_| get(web, "/").text() == "one"));
    assert_eq!(failures(), before);
}

#[test]
fn an_ejected_endpoint_is_tried_again_after_its_time() {
    let (one, gone) = (Endpoint::named("one"), Refusing::reserve());
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health: {{ evaluator: {{ plugin: thresholds, config: {{ passive: {{ failures: 2, eject_for: 100ms }} }} }} }}
    endpoints: [ \"{}\", \"{gone}\" ]",
            one.address()
        ),
    );
    let web = proxy.address("web");
    let becomes = |wanted: &str| {
        wait_for(wanted, || {
            assert_eq!(get(web, "/").status, 200);
            (report(&proxy, 1)["availability"] == wanted).then_some(())
        });
    };
    becomes("unavailable");
    becomes("ready");
    becomes("unavailable");
}

#[test]
fn live_traffic_never_empties_a_cluster() {
    let (one, two) = (Refusing::reserve(), Refusing::reserve());
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health: {{ evaluator: {{ plugin: thresholds, config: {{ passive: {{ failures: 2, eject_for: 300s }} }} }} }}
    endpoints: [ \"{one}\", \"{two}\" ]"
        ),
    );
    let web = proxy.address("web");
    let failures = |position| report(&proxy, position)["failures"].as_u64().expect("a number");
    wait_for("both to have failed often", || {
        assert_eq!(get(web, "/").status, 502);
        (failures(0) + failures(1) >= 30 && failures(0).min(failures(1)) >= 2).then_some(())
    });
    proxy.wait_for_log("endpoint fails, but stays", "cluster=");
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["endpoints_available"], 1);
}
