//! What is told of endpoints, and what an operator changes about them.

use plimsoll_tests::{Connection, Endpoint, Gate, Proxy, get, read_request, request, wait_for};
use serde_json::{Value, json};

use super::json;
use crate::in_front_of;

fn patch(proxy: &Proxy, endpoint: &Endpoint, change: Value) -> Value {
    let path = format!("/v1/clusters/app/endpoints/{}", endpoint.address());
    proxy.admin_json("PATCH", &path, Some(change.to_string().as_bytes()))
}

fn report(proxy: &Proxy, position: usize) -> Value {
    proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][position].clone()
}

/// Sends requests until a dozen in a row pass this endpoint by, then makes sure that it stays so. The workers hear of a
/// change after the API has answered.
fn gets_nothing_new(proxy: &Proxy, endpoint: &Endpoint) {
    let web = proxy.address("web");
    let requests_pass_by = |count: usize| {
        let before = endpoint.requests().len();
        assert!((0..count).all(|_| get(web, "/").status == 200));
        endpoint.requests().len() == before
    };
    wait_for("the endpoint to be passed by", || requests_pass_by(12).then_some(()));
    assert!(requests_pass_by(40));
}

fn is_used_again(proxy: &Proxy, endpoint: &Endpoint) {
    let (web, before) = (proxy.address("web"), endpoint.requests().len());
    wait_for("the endpoint to be used again", || {
        assert_eq!(get(web, "/").status, 200);
        (endpoint.requests().len() > before).then_some(())
    });
}

#[test]
fn reports_count_requests_by_endpoint() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin }");
    let web = proxy.address("web");
    assert!((0..10).all(|_| get(web, "/").status == 200));
    let clusters = proxy.admin_json("GET", "/v1/clusters", None);
    assert_eq!(clusters.as_array().map(Vec::len), Some(1));
    assert_eq!(clusters[0]["balancer"], "round-robin");
    for (position, endpoint) in [one, two].iter().enumerate() {
        let report = &clusters[0]["endpoints"][position];
        assert_eq!(report["address"], endpoint.address().to_string());
        assert_eq!((&report["availability"], &report["health"]), (&json!("ready"), &json!("healthy")));
        assert_eq!((&report["requests"], &report["failures"], &report["in_flight"]), (&json!(5), &json!(0), &json!(0)));
        assert!(report["first_byte_us"].as_u64() > Some(0), "{report:#}");
    }
    let status = proxy.admin_json("GET", "/v1/status", None);
    assert_eq!((&status["endpoints"], &status["endpoints_available"]), (&json!(2), &json!(2)));
}

#[test]
fn requests_under_way_are_counted_while_they_are() {
    let gate = Gate::default();
    let waiting = gate.clone();
    let slow = Endpoint::scripted(std::sync::Arc::new(move |mut stream| {
        while read_request(&mut stream).is_some() {
            waiting.pass();
            if std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }));
    let proxy = in_front_of(&[&slow], "", "");
    let mut connections: Vec<Connection> = (0..3).map(|_| Connection::open(proxy.address("web"))).collect();
    connections.iter_mut().for_each(|connection| connection.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    gate.wait_for_arrivals(3);
    assert_eq!(report(&proxy, 0)["in_flight"], 3);
    gate.open();
    assert!(
        connections.iter_mut().all(|connection| connection.response().is_some_and(|response| response.status == 200))
    );
    wait_for("the requests to be over", || (report(&proxy, 0)["in_flight"] == 0).then_some(()));
}

#[test]
fn a_draining_endpoint_gets_nothing_new() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin }");
    is_used_again(&proxy, &one);
    let changed = patch(&proxy, &one, json!({ "drain": true }));
    assert_eq!((&changed["drain"], &changed["availability"]), (&json!(true), &json!("draining")));
    gets_nothing_new(&proxy, &one);
    assert_eq!(report(&proxy, 0)["availability"], "draining");
    let changed = patch(&proxy, &one, json!({ "drain": false }));
    assert_eq!(changed["availability"], "ready");
    is_used_again(&proxy, &one);
}

#[test]
fn a_draining_endpoint_keeps_its_clients_and_a_disabled_one_does_not() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin }, affinity: { plugin: cookie }");
    let web = proxy.address("web");
    let cookie = wait_for("an answer of one", || {
        let response = get(web, "/");
        (response.text() == "one").then(|| response.header("set-cookie").expect("a cookie").to_owned())
    });
    let cookie = cookie.split(';').next().unwrap_or_default();
    let bound = || request(web, "GET", "/", &[("cookie", cookie)], None).text();
    assert!((0..10).all(|_| bound() == "one"));
    patch(&proxy, &one, json!({ "drain": true }));
    wait_for("strangers to be sent elsewhere", || (0..10).all(|_| get(web, "/").text() == "two").then_some(()));
    assert!((0..10).all(|_| bound() == "one"));
    let changed = patch(&proxy, &one, json!({ "enabled": false }));
    assert_eq!((&changed["enabled"], &changed["availability"]), (&json!(false), &json!("unavailable")));
    wait_for("the client to be moved on", || (bound() == "two").then_some(()));
    assert!((0..10).all(|_| bound() == "two"));
}

#[test]
fn a_disabled_endpoint_gets_nothing() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "");
    patch(&proxy, &two, json!({ "enabled": false }));
    gets_nothing_new(&proxy, &two);
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["endpoints_available"], 1);
    patch(&proxy, &two, json!({ "enabled": true }));
    is_used_again(&proxy, &two);
}

#[test]
fn without_any_endpoint_requests_are_told_so() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    patch(&proxy, &one, json!({ "enabled": false }));
    wait_for("requests to be refused", || (get(proxy.address("web"), "/").status == 503).then_some(()));
    assert_eq!(get(proxy.address("web"), "/").status, 503);
    assert!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"UH\"}") >= 2.0);
}

#[test]
fn weights_can_be_changed_while_running() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "balancer: { plugin: round-robin }");
    let web = proxy.address("web");
    let share_of_one = || (0..40).filter(|_| get(web, "/").text() == "one").count();
    assert!((19..=21).contains(&share_of_one()));
    assert_eq!(patch(&proxy, &one, json!({ "weight": 3 }))["weight"], 3);
    wait_for("three quarters", || (29..=31).contains(&share_of_one()).then_some(()));
    assert!((29..=31).contains(&share_of_one()));
    patch(&proxy, &one, json!({ "weight": 0 }));
    gets_nothing_new(&proxy, &one);
}

#[test]
fn what_an_operator_changed_outlives_a_configuration() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = in_front_of(&[&one, &two], "", "");
    patch(&proxy, &one, json!({ "drain": true, "weight": 7 }));
    let config = proxy.admin("GET", "/v1/config", None).text();
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    let kept = report(&proxy, 0);
    assert_eq!((&kept["drain"], &kept["weight"]), (&json!(true), &json!(7)));
    gets_nothing_new(&proxy, &one);
}

#[test]
fn bad_changes_are_refused_and_change_nothing() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let before = report(&proxy, 0);
    let path = format!("/v1/clusters/app/endpoints/{}", one.address());
    for (change, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        (r#"{"wieght":1}"#, 400),
        (r#"{"weight":-1}"#, 400),
        (r#"{"weight":1.5}"#, 400),
        (r#"{"weight":4294967296}"#, 400),
        (r#"{"weight":65536}"#, 422),
        (r#"{"drain":"yes"}"#, 400),
        (r#"{"drain":true,"weight":65536}"#, 422),
    ] {
        let response = proxy.admin("PATCH", &path, Some(change.as_bytes()));
        assert_eq!(response.status, status, "{change}: {}", response.text());
        assert!(json(&response)["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    assert_eq!(report(&proxy, 0), before);
    assert_eq!(patch(&proxy, &one, json!({ "weight": 65_535 }))["weight"], 65_535);
}
