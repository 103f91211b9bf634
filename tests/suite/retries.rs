//! What happens to a request when an endpoint fails it.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_tests::{Connection, Endpoint, Proxy, Response, get, read_request, request, wait_for};

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

/// An endpoint that answers a status, with these fields.
fn answering_status(status: u16, fields: &str) -> Endpoint {
    Endpoint::answering(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 4\r\n{fields}\r\nsick"))
}

fn retries(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric(&format!("plimsoll_retries_total{{cluster=\"app\",reason=\"{reason}\"}}"))
}

/// So that an endpoint that fails is asked again.
const UNJUDGED: &str = "health: { max_ejected_percent: 0 }";

#[test]
fn an_answer_that_another_endpoint_may_better_is_not_passed_on() {
    let (sick, one) = (answering_status(503, ""), Endpoint::named("one"));
    let proxy =
        in_front_of(&[&sick, &one], "", &format!("{ROUND_ROBIN}, {UNJUDGED}, retries: {{ on: [gateway_error] }}"));
    let web = proxy.address("web");
    for method in ["GET", "PUT"] {
        let body = (method == "PUT").then_some(b"abc".as_slice());
        for _ in 0..4 {
            assert_eq!(request(web, method, "/", &[], body).text(), "one");
        }
    }
    assert_eq!(retries(&proxy, "status"), 4.0);
    assert_eq!(proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"server_error\"}"), 4.0);
    assert_eq!(sick.connections(), 1, "it is kept although nobody wants what came on it");
    let mut posts = [0; 2].map(|_| request(web, "POST", "/", &[], Some(b"abc")).status);
    posts.sort_unstable();
    assert_eq!(posts, [200, 503], "which may have been acted on");
}

#[test]
fn statuses_are_tried_again_by_list_and_no_others() {
    for (on, tried_again) in [("on: [5xx]", [true, false]), ("statuses: [429]", [false, true]), ("on: []", [false; 2])]
    {
        for (status, tried_again) in [500, 429].into_iter().zip(tried_again) {
            let (sick, one) = (answering_status(status, ""), Endpoint::named("one"));
            let proxy = in_front_of(&[&sick, &one], "", &format!("{ROUND_ROBIN}, {UNJUDGED}, retries: {{ {on} }}"));
            let mut statuses = [0; 2].map(|_| get(proxy.address("web"), "/").status);
            statuses.sort_unstable();
            assert_eq!(statuses, if tried_again { [200, 200] } else { [200, status] }, "{on} at {status}");
        }
    }
}

#[test]
fn the_last_answer_is_passed_on_when_no_endpoint_has_a_better_one() {
    let sick = [answering_status(503, ""), answering_status(503, "")];
    let proxy = in_front_of(&[&sick[0], &sick[1]], "", &format!("{UNJUDGED}, retries: {{ on: [gateway_error] }}"));
    let response = get(proxy.address("web"), "/");
    assert_eq!((response.status, response.text().as_str()), (503, "sick"));
    assert_eq!(sick.iter().map(|sick| sick.requests().len()).sum::<usize>(), 3, "`max_attempts`");
}

#[test]
fn a_pause_that_an_endpoint_asks_for_is_kept_or_passed_on() {
    let settings = format!("{ROUND_ROBIN}, {UNJUDGED}, max_attempts: 2, retries: {{ statuses: [503] }}");
    let (busy, one) = (answering_status(503, "retry-after: 1\r\n"), Endpoint::named("one"));
    let proxy = in_front_of(&[&busy, &one], "", &settings);
    let begun = Instant::now();
    assert_eq!([0; 2].map(|_| get(proxy.address("web"), "/").status), [200; 2]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    let (busy, one) = (answering_status(503, "retry-after: 2\r\n"), Endpoint::named("one"));
    let proxy = in_front_of(&[&busy, &one], "", &settings);
    let answers = [0; 2].map(|_| get(proxy.address("web"), "/"));
    let passed_on = answers.iter().find(|answer| answer.status == 503).expect("the endpoint's own answer");
    assert_eq!(passed_on.header("retry-after"), Some("2"));
}

#[test]
fn who_allows_it_has_other_methods_sent_again() {
    let (rude, one) = (rude(), Endpoint::named("one"));
    let proxy =
        in_front_of(&[&rude, &one], "", &format!("{ROUND_ROBIN}, {UNJUDGED}, retries: {{ non_idempotent: true }}"));
    let post = || request(proxy.address("web"), "POST", "/", &[], Some(b"abc")).status;
    assert_eq!([0; 4].map(|_| post()), [200; 4]);
    assert_eq!(retries(&proxy, "reset"), 2.0);
}

#[test]
fn answers_that_are_not_http_are_tried_again_where_that_is_wanted() {
    let (garbled, one) = (Endpoint::answering("SSH-2.0-OpenSSH_9\r\n\r\n"), Endpoint::named("one"));
    let cluster = format!("{ROUND_ROBIN}, {UNJUDGED}, retries: {{ on: [malformed] }}");
    let proxy = in_front_of(&[&garbled, &one], "", &cluster);
    assert_eq!([0; 4].map(|_| get(proxy.address("web"), "/").status), [200; 4]);
    assert_eq!(retries(&proxy, "malformed"), 2.0);
}

#[test]
fn what_finds_the_retry_budget_used_up_fails_and_says_so() {
    let (rude, one) = (rude(), Endpoint::named("one"));
    let cluster = format!(
        "{ROUND_ROBIN}, {UNJUDGED}, queue: {{ timeout: 100ms }}, retries: {{ budget: {{ percent: 0, min: 0 }} }}"
    );
    let proxy = in_front_of(&[&rude, &one], "", &cluster);
    let mut statuses = [0; 2].map(|_| get(proxy.address("web"), "/").status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
    assert_eq!(proxy.metric("plimsoll_retry_overflows_total{cluster=\"app\"}"), 1.0);
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"RX\"}"), 1.0);
    assert_eq!(retries(&proxy, ""), 0.0);
}

#[test]
fn a_retry_that_finds_the_budget_used_up_waits_for_its_part() {
    // The second endpoint answers nobody before two requests have been at the first, which breaks off all.
    let rude = Arc::new(rude());
    let failing = rude.clone();
    let slow = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        while read_request(&mut stream).is_some() {
            wait_for("two failures", || (failing.connections() >= 2).then_some(()));
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }));
    let cluster = format!("{ROUND_ROBIN}, {UNJUDGED}, retries: {{ budget: {{ percent: 0, min: 1 }} }}");
    let proxy = in_front_of(&[&rude, &slow], "", &cluster);
    let web = proxy.address("web");
    let clients: Vec<_> = (0..4).map(|_| std::thread::spawn(move || get(web, "/").status)).collect();
    let statuses: Vec<u16> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    assert_eq!(statuses, [200; 4]);
    assert_eq!(retries(&proxy, "reset"), 2.0);
    assert_eq!(proxy.metric("plimsoll_retry_overflows_total"), 0.0);
}

#[test]
fn a_bound_client_is_moved_when_its_endpoint_cannot_be_reached() {
    let endpoints = ["a", "b"].map(Endpoint::named);
    // Kept connections would still be served.
    let cluster = format!("affinity: {{ plugin: cookie }}, {UNJUDGED}, pool: {{ idle_connections: 0 }}");
    let proxy = in_front_of(&[&endpoints[0], &endpoints[1]], "", &cluster);
    let web = proxy.address("web");
    let first = get(web, "/");
    let cookie = |response: &Response| {
        response.header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned)
    };
    let bound = cookie(&first).expect("a cookie");
    let ask = |cookie: &str| request(web, "GET", "/", &[("cookie", cookie)], None);
    assert_eq!(ask(&bound).text(), first.text());
    let (at, other) = if first.text() == "a" { (&endpoints[0], "b") } else { (&endpoints[1], "a") };
    at.close();
    let moved = ask(&bound);
    assert_eq!((moved.status, moved.text().as_str()), (200, other));
    let bound = cookie(&moved).expect("a cookie of the other endpoint");
    assert_eq!(ask(&bound).text(), other);
}
