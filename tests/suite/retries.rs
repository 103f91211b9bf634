//! What happens to a request when an endpoint fails it.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use plimsoll_tests::{Connection, Endpoint, get, read_request, request};

use crate::in_front_of;

/// An endpoint that reads a request and closes the connection without an answer.
fn rude() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let _ = read_request(&mut stream);
    }))
}

/// An address where nobody listens.
fn gone() -> Endpoint {
    let endpoint = Endpoint::named("gone");
    endpoint.close();
    endpoint
}

const ROUND_ROBIN: &str = "balancer: { plugin: round-robin }";

#[test]
fn a_request_moves_on_when_an_endpoint_takes_no_connection() {
    let (gone, one) = (gone(), Endpoint::named("one"));
    let proxy = in_front_of(&[&gone, &one], "", ROUND_ROBIN);
    let web = proxy.address("web");
    for method in ["GET", "POST"] {
        for _ in 0..10 {
            let body = (method == "POST").then_some(b"abc".as_slice());
            assert_eq!(request(web, method, "/", &[], body).text(), "one");
        }
    }
    assert!(proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"connect_failure\"}") >= 1.0);
    assert!(one.requests().iter().filter(|head| head.starts_with("POST")).all(|head| head.ends_with("\r\n\r\nabc")));
}

#[test]
fn without_any_endpoint_the_answer_is_502_or_503() {
    let gone = gone();
    let proxy = in_front_of(&[&gone], "", "");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    let empty = in_front_of(&[], "", "");
    let response = get(empty.address("web"), "/");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
}

#[test]
fn only_what_may_be_sent_twice_is_sent_twice() {
    let (rude, one) = (rude(), Endpoint::named("one"));
    // Without ejection, which would hide the endpoint after some failures.
    let cluster = "balancer: { plugin: round-robin }, health: { max_ejected_percent: 0 }";
    let proxy = in_front_of(&[&rude, &one], "", cluster);
    let web = proxy.address("web");
    let statuses = |method: &str| -> Vec<u16> {
        let body = (method == "POST").then_some(b"abc".as_slice());
        (0..4).map(|_| request(web, method, "/", &[], body).status).collect()
    };
    assert_eq!(statuses("GET"), [200; 4]);
    let posts = statuses("POST");
    assert_eq!(posts.iter().filter(|status| **status == 502).count(), 2, "{posts:?}");
}

#[test]
fn attempts_are_bounded_and_each_goes_to_another_endpoint() {
    let rude: Vec<Endpoint> = (0..5).map(|_| rude()).collect();
    let endpoints: Vec<&Endpoint> = rude.iter().collect();
    let proxy = in_front_of(&endpoints, "", "max_attempts: 3, balancer: { plugin: least-request }");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    let mut tried: Vec<usize> = rude.iter().map(Endpoint::connections).collect();
    tried.sort_unstable();
    assert_eq!(tried, [0, 0, 1, 1, 1]);
}

#[test]
fn a_kept_connection_that_the_endpoint_has_closed_costs_no_request() {
    // Keeps each connection for one request more than it admits, then closes it without a word.
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        for _ in 0..2 {
            if read_request(&mut stream).is_none() {
                return;
            }
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
        let _ = read_request(&mut stream);
    }));
    let proxy = in_front_of(&[&endpoint], "", "max_attempts: 1");
    let mut client = Connection::open(proxy.address("web"));
    for number in 0..50 {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.response().expect("an answer").status, 200, "request {number}");
    }
    assert_eq!(proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["failures"], 0);
}

#[test]
fn answers_that_are_not_http_give_502() {
    for answer in [
        "SSH-2.0-OpenSSH_9\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
        "HTTP/1.1 99999 X\r\n\r\n",
    ] {
        let endpoint = Endpoint::answering(answer);
        let proxy = in_front_of(&[&endpoint], "", "");
        assert_eq!(get(proxy.address("web"), "/").status, 502, "{answer:?}");
    }
}

#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut first = [0; 4096];
        if std::io::Read::read(&mut stream, &mut first).is_ok() {
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
            std::thread::park();
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbeginning");
    let response = client.response().expect("an answer");
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
}
