use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_tests::{Endpoint, Nginx, free_address, read_request, self_signed, wait_for};

use super::{fails, passes, probing, probing_by};

const PLACES: &str = r#"
    location = /health { default_type application/json; add_header X-State up; return 200 '{"status":"up","lag":[0]}'; }
    location = /moved { return 302 /health; }
    location = /away { return 301 https://elsewhere.test/host; }
    location = /host { return 200 "$host"; }
    location = /round { return 302 /round; }
    location = /login { if ($request_method != POST) { return 405; } return 204; }
    location = /down { return 503 "out of order"; }
"#;

#[test]
fn an_answer_of_nginx_is_judged_by_all_that_it_has() {
    let nginx = Nginx::start(PLACES, &[]);
    let by = |config: &str| probing(nginx.address(), "http", config);
    passes(&by(
        "{ path: /health, expect: { status: [ 200 ], headers: { x-state: up }, headers_regex: { server: ^nginx },
        body_regex: '\"st.tus\"', json: { /status: up, /lag/0: 0 } } }",
    ));
    fails(&by("{ path: /down }"), "expected status 200-399, got 503");
    fails(&by("{ path: /health, expect: { headers: { x-state: down } } }"), "expected `x-state: down`, got `up`");
    fails(&by("{ path: /health, expect: { json: { /lag/0: 1 } } }"), "expected /lag/0 to be `1`, got `0`");
}

#[test]
fn several_exchanges_have_to_go_well_and_redirects_are_followed() {
    let nginx = Nginx::start(PLACES, &[]);
    let by = |config: &str| probing(nginx.address(), "http", config);
    passes(&by(
        "{ path: /login, method: POST, body: a, then: [ { path: /health, expect: { json: { /status: up } } } ] }",
    ));
    fails(
        &by("{ path: /login, method: POST, then: [ { path: /down } ] }"),
        "GET /down: expected status 200-399, got 503",
    );
    passes(&by("{ path: /moved, follow_redirects: 1, expect: { status: [ 200 ] } }"));
    passes(&by("{ path: /away, follow_redirects: 1, expect: { body_contains: elsewhere.test } }"));
    fails(&by("{ path: /moved, expect: { status: [ 200 ] } }"), "expected status 200, got 302");
    fails(&by("{ path: /round, follow_redirects: 3 }"), "redirects more than 3 times");
}

#[test]
fn who_speaks_no_http_is_told_so() {
    let garbage = Endpoint::answering("+PONG\r\n");
    fails(&probing(garbage.address(), "http", "{}"), "the exchange failed: ");
    fails(&probing(free_address(), "http", "{}"), "refused");
}

/// Waits until an endpoint has heard so many requests, and answers on how many connections.
fn connections_of(endpoint: &Endpoint, requests: usize) -> usize {
    wait_for("requests", || (endpoint.requests().len() >= requests).then(|| endpoint.connections()))
}

/// Answers each connection with these statuses, one after the other, and closes it then. Counts its answers.
fn saying(statuses: &'static [u16]) -> (Endpoint, Arc<AtomicUsize>) {
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = answers.clone();
    let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        for status in statuses {
            let asked = read_request(&mut stream);
            if asked.is_none() || write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }));
    (endpoint, answers)
}

#[test]
fn probes_follow_one_another_on_a_connection_where_they_may() {
    let (endpoint, other) = (Endpoint::named("one"), Endpoint::named("other"));
    let chain = "config: { then: [ { path: /more } ] }";
    let proxy = probing_by(endpoint.address(), &format!("plugin: http, reuse_connection: true, {chain}"));
    assert_eq!(connections_of(&endpoint, 20), 1);
    assert!(endpoint.requests().iter().all(|request| !request.contains("connection: close")));
    passes(&proxy);
    let _proxy = probing_by(other.address(), &format!("plugin: http, {chain}"));
    assert!(connections_of(&other, 20) >= 20);
    assert!(other.requests().iter().all(|request| request.contains("connection: close")));
}

#[test]
fn a_connection_of_tls_is_reused_as_well() {
    let (certificate, key) = self_signed("localhost");
    let address = free_address();
    let server = format!(
        "server {{ listen {address} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; location / {{ return 200 \"nth $connection_requests\"; }} }}"
    );
    let _nginx = Nginx::with_upstreams(&server, "", &[("cert.pem", &certificate), ("key.pem", &key)]);
    let fourth = "config: { then: [ {}, {}, { expect: { body_regex: \"^nth ([4-9]|[0-9]{2,})$\" } } ] }";
    let tls = "own_tls: { insecure_skip_verify: true }";
    passes(&probing_by(address, &format!("plugin: http, {tls}, reuse_connection: true, {fourth}")));
    fails(&probing_by(address, &format!("plugin: http, {tls}, {fourth}")), "got `nth 1`");
}

#[test]
fn that_an_endpoint_closes_a_connection_between_two_probes_is_no_failure() {
    let (endpoint, _) = saying(&[200, 200]);
    let proxy = probing_by(endpoint.address(), "plugin: http, reuse_connection: true");
    wait_for("ten connections", || (endpoint.connections() >= 10).then_some(()));
    let told = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["probes"].clone();
    let told = told.as_array().expect("the last probes");
    assert!(told.iter().all(|probe| probe["passed"] == true), "{told:?}");
}

#[test]
fn who_has_failed_is_asked_on_a_new_connection() {
    let (endpoint, answers) = saying(&[200, 503, 200]);
    let _proxy = probing_by(endpoint.address(), "plugin: http, reuse_connection: true");
    wait_for("ten connections", || (endpoint.connections() >= 10).then_some(()));
    // The last is counted when it is answered.
    let (answers, connections) = (answers.load(Ordering::Relaxed), endpoint.connections());
    assert!((2 * connections - 2..=2 * connections).contains(&answers), "{answers} answers on {connections}");
}

#[test]
fn what_may_not_be_sent_twice_is_sent_on_a_new_connection() {
    let endpoint = Endpoint::named("one");
    let _proxy = probing_by(endpoint.address(), "plugin: http, reuse_connection: true, config: { method: POST }");
    assert!(connections_of(&endpoint, 20) >= 20);
}
