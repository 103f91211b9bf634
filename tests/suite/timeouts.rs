//! Every wait has a bound.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_tests::{Connection, Endpoint, Script, get, read_request, request};

use crate::in_front_of;

/// An endpoint that writes something after it has read a request, and then nothing more.
fn stalling(answer: &'static str) -> Endpoint {
    let script: Script = Arc::new(move |mut stream: TcpStream| {
        if read_request(&mut stream).is_some() && stream.write_all(answer.as_bytes()).is_ok() {
            std::thread::park();
        }
    });
    Endpoint::scripted(script)
}

/// Runs something that is to take at least `least`, and far less than the default of any timeout.
fn bounded<T>(least: Duration, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = run();
    let took = begun.elapsed();
    assert!(took >= least && took < Duration::from_secs(8), "took {took:?}");
    result
}

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn an_endpoint_that_does_not_answer_in_time_gives_504() {
    let endpoint = stalling("");
    let proxy = in_front_of(&[&endpoint], "", "timeouts: { first_byte: 200ms }");
    let response = bounded(SHORT, || get(proxy.address("web"), "/"));
    assert_eq!(response.status, 504);
    assert_eq!(proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"timeout\"}"), 1.0);
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"UT\"}"), 1.0);
}

#[test]
fn an_answer_that_stalls_in_the_middle_is_cut_off() {
    let endpoint = stalling("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    let proxy = in_front_of(&[&endpoint], "", "timeouts: { body_idle: 200ms }");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let bytes = bounded(SHORT, || client.read_to_end());
    assert!(bytes.ends_with(b"half"), "{:?}", String::from_utf8_lossy(&bytes));
}

#[test]
fn a_request_that_takes_too_long_as_a_whole_gives_504() {
    let endpoint = stalling("");
    let proxy = in_front_of(&[&endpoint], "timeouts: { request: 200ms }", "");
    assert_eq!(bounded(SHORT, || get(proxy.address("web"), "/")).status, 504);
}

#[test]
fn a_client_that_sends_its_head_too_slowly_is_let_go() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "timeouts: { client_header: 200ms }", "");
    for beginning in ["", "G", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let mut client = Connection::open(proxy.address("web"));
        client.send(beginning);
        bounded(SHORT, || client.read_to_end());
    }
    assert!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"timeout\"}") >= 1.0);
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "timeouts: { keep_alive: 200ms }", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response().expect("an answer").status, 200);
    assert_eq!(bounded(Duration::from_millis(150), || client.read_to_end()), b"");
}

#[test]
fn a_body_that_stalls_gives_408_and_does_not_blame_the_endpoint() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "timeouts: { first_byte: 200ms }");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    let response = bounded(SHORT, || client.response()).expect("an answer");
    assert_eq!(response.status, 408);
    assert_eq!(proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"client_abort\"}"), 1.0);
}

#[test]
fn an_upload_that_is_slow_but_goes_on_is_no_timeout() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "timeouts: { first_byte: 400ms }");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n");
    let begun = Instant::now();
    for piece in 0..8 {
        client.send("x");
        // Pieces come in half the patience, together they take twice as much.
        while begun.elapsed() < Duration::from_millis(125) * (piece + 1) {
            std::thread::yield_now();
        }
    }
    assert_eq!(client.response().expect("an answer").status, 200);
}

#[test]
fn an_endpoint_that_takes_no_connection_gives_504_in_time() {
    // A listener whose queue is full drops further handshakes.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue has no end");
    }
    let endpoint = Endpoint::named("unused");
    let proxy = in_front_of(&[&endpoint], "", "timeouts: { connect: 200ms }, max_attempts: 1");
    let config =
        proxy.admin("GET", "/v1/config", None).text().replace(&endpoint.address().to_string(), &address.to_string());
    proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    assert_eq!(bounded(SHORT, || request(proxy.address("web"), "GET", "/", &[], None)).status, 504);
}

/// What the field says in each request that came to an endpoint.
fn told(endpoint: &Endpoint, field: &str) -> Vec<String> {
    let prefix = format!("{field}: ");
    let of = |request: &String| request.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or("").to_owned();
    endpoint.requests().iter().map(of).collect()
}

#[test]
fn endpoints_are_told_how_much_time_is_left() {
    let endpoint = Endpoint::named("one");
    let listener = "deadline_header: X-Time-Left, timeouts: { request: 20s }";
    let proxy = in_front_of(&[&endpoint], listener, "");
    for said in [&[][..], &[("x-time-left", "5000")], &[("x-time-left", "90000")], &[("x-time-left", "soon")]] {
        assert_eq!(request(proxy.address("web"), "GET", "/", said, None).status, 200);
    }
    let told: Vec<u64> = told(&endpoint, "x-time-left").iter().map(|left| left.parse().expect("a number")).collect();
    for (left, most) in told.iter().zip([20_000, 5_000, 20_000, 20_000]) {
        assert!(*left < most && *left > most - 4_000, "{told:?}");
    }
}

#[test]
fn every_attempt_tells_what_is_left_by_then() {
    let silent = Endpoint::scripted(Arc::new(|mut stream: TcpStream| while read_request(&mut stream).is_some() {}));
    let one = Endpoint::named("one");
    let cluster = "balancer: { plugin: round-robin }, timeouts: { first_byte: 300ms }";
    let proxy = in_front_of(&[&silent, &one], "deadline_header: x-time-left", cluster);
    for _ in 0..2 {
        let response = request(proxy.address("web"), "GET", "/", &[("x-time-left", "9000")], None);
        assert_eq!(response.text(), "one");
    }
    let mut told: Vec<u64> = told(&one, "x-time-left").iter().map(|left| left.parse().expect("a number")).collect();
    told.sort_unstable();
    assert!(told[0] <= 8_700 && told[0] > 5_000 && told[1] > 8_700, "{told:?}");
}

#[test]
fn a_client_says_how_long_it_waits() {
    let endpoint = stalling("");
    let proxy = in_front_of(&[&endpoint], "deadline_header: x-time-left", "");
    let ask = || request(proxy.address("web"), "GET", "/", &[("x-time-left", "200")], None);
    assert_eq!(bounded(SHORT, ask).status, 504);
}
