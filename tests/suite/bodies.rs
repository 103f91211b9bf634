//! What is decided by the beginning of a body, which is waited for and lost nowhere.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use plimsoll_tests::{
    Authority, Connection, Endpoint, Http2, Issued, Proxy, curl, free_address, guest_path, request, wait_for,
};

use crate::{PLIMSOLL, in_front_of};

fn listed(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect::<Vec<_>>().join(", ")
}

/// The place of the endpoint is the first digit of a body.
fn by_body(endpoints: &[Endpoint], listener: &str, cluster: &str) -> Proxy {
    let config = format!(
        "workers: 1
plugins: [ {{ name: shown, path: {:?} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, {listener} }} ]
clusters: [ {{ name: app, balancer: {{ plugin: shown, config: {{ by: body }} }}, endpoints: [ {} ], {cluster} }} ]",
        guest_path("shown"),
        listed(endpoints)
    );
    Proxy::start(PLIMSOLL, &config)
}

fn named() -> [Endpoint; 3] {
    ["0", "1", "2"].map(Endpoint::named)
}

fn post(proxy: &Proxy, body: &str) -> String {
    request(proxy.address("web"), "POST", "/", &[], Some(body.as_bytes())).text()
}

fn is_whole(endpoint: &Endpoint, body: &str) -> bool {
    endpoint.requests().iter().any(|request| request.contains(body))
}

#[test]
fn requests_whose_bodies_begin_alike_go_to_the_same_endpoint_and_arrive_whole() {
    let endpoints = ["a", "b", "c", "d"].map(Endpoint::named);
    let list: Vec<&Endpoint> = endpoints.iter().collect();
    let cluster = "balancer: { plugin: rendezvous }, hash_on: [ { body_prefix: 8 } ]";
    let proxy = in_front_of(&list, "", cluster);
    let mut used = HashSet::new();
    for user in 10..30 {
        let answers: HashSet<String> =
            (0..4).map(|rest| post(&proxy, &format!("user-{user}-and-{}", "x".repeat(rest * 40_000)))).collect();
        assert_eq!(answers.len(), 1, "user {user}: {answers:?}");
        let at = endpoints.iter().find(|endpoint| answers.contains(&post_name(endpoint))).expect("one of them");
        assert!(is_whole(at, &format!("user-{user}-and-{}", "x".repeat(120_000))));
        used.extend(answers);
    }
    assert!(used.len() > 1, "different beginnings lead to different endpoints");
    // Where there is no body there is no key.
    let without: HashSet<String> =
        (0..60).map(|_| request(proxy.address("web"), "GET", "/", &[], None).text()).collect();
    assert!(without.len() > 1);
}

fn post_name(endpoint: &Endpoint) -> String {
    request(endpoint.address(), "GET", "/", &[], None).text()
}

#[test]
fn an_endpoint_is_chosen_once_the_beginning_has_come_and_not_before() {
    let endpoints = named();
    let proxy = by_body(&endpoints, "", "");
    let mut connection = Connection::open(proxy.address("web"));
    connection.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n");
    connection.send("abc");
    // Others are served meanwhile.
    assert_eq!(post(&proxy, "abcd1"), "1");
    assert_eq!(endpoints.iter().map(Endpoint::connections).sum::<usize>(), 1);
    connection.send("d 2  ");
    wait_for("the endpoint to be chosen", || (endpoints[2].connections() == 1).then_some(()));
    connection.send("and the rest");
    assert_eq!(connection.response().expect("an answer").text(), "2");
    assert!(is_whole(&endpoints[2], "abcd 2  and the rest"));
}

#[test]
fn bodies_of_any_form_are_seen_and_a_client_that_waits_for_leave_gets_it() {
    let endpoints = named();
    let proxy = by_body(&endpoints, "", "");
    let url = format!("http://{}/", proxy.address("web"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for form in ["x-form: plain", "transfer-encoding: chunked", "expect: 100-continue"] {
            for place in ["0", "1", "2"] {
                let body = format!("place {place} of three");
                let answer = curl(&[version, "-H", form, "--expect100-timeout", "19", "--data-binary", &body, &url]);
                assert_eq!(answer, place, "{version} {form}");
                assert!(is_whole(&endpoints[place.parse::<usize>().expect("a number")], &body), "{version} {form}");
            }
        }
    }
    assert_eq!(post(&proxy, "1"), "1", "all of a body that is short");
    assert_eq!(curl(&["-X", "POST", &url]), "0", "none at all");
    let chunks = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\n 2\r\n0\r\n\r\n";
    let mut connection = Connection::open(proxy.address("web"));
    connection.send(chunks);
    assert_eq!(connection.response().expect("an answer").text(), "2");
    let client = Http2::open(proxy.address("web"));
    let asked = http::Request::post("http://a/").body(()).expect("a request");
    assert_eq!(client.send(asked, Some(b"1 by HTTP/2")).expect("an answer").body, b"1");
    assert_eq!(proxy.metric("plimsoll_plugin_fallbacks_total"), 0.0);
}

#[test]
fn a_beginning_in_the_smallest_of_pieces_is_put_together() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "balancer: { plugin: rendezvous }, hash_on: [ { body_prefix: 65536 } ]");
    let mut connection = Connection::open(proxy.address("web"));
    connection.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    connection.send("1\r\nx\r\n".repeat(65_536));
    wait_for("an endpoint to be chosen", || (endpoint.connections() == 1).then_some(()));
    connection.send("3\r\nend\r\n0\r\n\r\n");
    assert_eq!(connection.response().expect("an answer").text(), "one");
    // What came before an endpoint was chosen is one piece.
    assert!(is_whole(&endpoint, &"x".repeat(65_536)));
}

#[test]
fn a_client_of_http2_that_waits_for_leave_gets_it_whoever_decides() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let url = format!("http://{}/", proxy.address("web"));
    let began = Instant::now();
    let form = ["--http2-prior-knowledge", "-H", "expect: 100-continue", "--expect100-timeout", "60"];
    assert_eq!(curl(&[&form[..], &["--data-binary", "a body", &url]].concat()), "one");
    assert!(is_whole(&endpoint, "a body"));
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn bodies_by_http3_are_seen_too() {
    let authority = Authority::new("root");
    let Issued { certificate, key } = authority.issue("localhost", "DNS:localhost,IP:127.0.0.1");
    let endpoints = named();
    let tls = format!(
        "http3: true, tls: {{ certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ] }}",
        certificate.display(),
        key.display()
    );
    let behind = by_body(&endpoints, &tls, "");
    // Our own client speaks HTTP/3 to it.
    let before = Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, protocol: http3, tls: {{ ca_file: \"{}\" }}, endpoints: [ \"{}\" ] }} ]",
            authority.certificate().display(),
            behind.address("web")
        ),
    );
    for place in ["2", "0", "1"] {
        let body = format!("{place}{}", "x".repeat(200_000));
        assert_eq!(post(&before, &body), place);
        assert!(is_whole(&endpoints[place.parse::<usize>().expect("a number")], &body));
    }
}

#[test]
fn a_client_that_does_not_send_the_beginning_in_time_is_sent_away() {
    let endpoints = named();
    let proxy = by_body(&endpoints, "timeouts: { client_header: 300ms }", "");
    let mut connection = Connection::open(proxy.address("web"));
    connection.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\nabc");
    assert_eq!(connection.response().expect("an answer").status, 408);
    let mut gone = Connection::open(proxy.address("web"));
    gone.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\nabc");
    drop(gone);
    let mut broken = Connection::open(proxy.address("web"));
    broken.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n");
    assert_eq!(broken.response().expect("an answer").status, 400);
    assert!(endpoints.iter().all(|endpoint| endpoint.connections() == 0));
    assert_eq!(post(&proxy, "2"), "2");
}

#[test]
fn what_was_read_ahead_is_sent_again_with_the_rest() {
    let alive = ["0", "2"].map(Endpoint::named);
    let config = format!(
        "workers: 1
plugins: [ {{ name: shown, path: {:?} }} ]
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, limits: {{ body_bytes: 100000 }} }} ]
clusters:
  - name: app
    max_attempts: 3
    balancer: {{ plugin: shown, config: {{ by: body }} }}
    endpoints: [ \"{}\", \"{}\", \"{}\" ]",
        guest_path("shown"),
        alive[0].address(),
        free_address(),
        alive[1].address()
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    let body = format!("1{}", "y".repeat(30_000));
    assert_eq!(post(&proxy, &body), "2");
    assert!(is_whole(&alive[1], &body));
    // A bound on bodies holds as before.
    let large = "0".repeat(100_001);
    assert_eq!(request(proxy.address("web"), "POST", "/", &[], Some(large.as_bytes())).status, 413);
}

#[test]
fn a_router_may_decide_by_a_body() {
    let endpoints = named();
    let clusters: Vec<String> = (0..3)
        .map(|place| format!("  - {{ name: c{place}, endpoints: [ \"{}\" ] }}", endpoints[place].address()))
        .collect();
    let config = format!(
        "workers: 1
plugins: [ {{ name: shown, path: {:?} }} ]
listeners:
  - {{ name: web, bind: 127.0.0.1:0, router: {{ plugin: shown, config: {{ clusters: [ c0, c1, c2 ] }} }} }}
clusters:
{}",
        guest_path("shown"),
        clusters.join("\n")
    );
    let proxy = Proxy::start(PLIMSOLL, &config);
    for place in ["2", "0", "1", "2"] {
        let body = format!("to {place}{}", "z".repeat(50_000));
        assert_eq!(post(&proxy, &body), place);
        assert!(is_whole(&endpoints[place.parse::<usize>().expect("a number")], &body));
    }
    assert_eq!(request(proxy.address("web"), "GET", "/", &[], None).text(), "0");
    let mut slow = Connection::open(proxy.address("web"));
    slow.stream().set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    slow.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n");
    slow.send("to 1     ");
    assert_eq!(slow.response().expect("an answer").text(), "1");
}
