//! HTTP/1.1 as clients and endpoints see it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_tests::{Connection, Endpoint, Gate, get, read_request, request, wait_for};

use crate::in_front_of;

#[test]
fn a_request_reaches_an_endpoint_and_its_answer_the_client() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let response = get(proxy.address("web"), "/x?y");
    assert_eq!((response.status, response.text().as_str()), (200, "one"));
    let head = &endpoint.requests()[0];
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    for field in [
        "host: test",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: test",
        "via: 1.1 plimsoll",
    ] {
        assert!(head.contains(&format!("{field}\r\n")), "{field} in {head}");
    }
}

#[test]
fn fields_of_one_connection_end_at_the_proxy() {
    let endpoint = Endpoint::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\nx-end: 1\r\n\r\nok",
    );
    let proxy = in_front_of(&[&endpoint], "", "");
    let headers = [
        ("connection", "x-mine, te"),
        ("x-mine", "1"),
        ("te", "trailers, gzip"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=1"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic eDp5"),
        ("x-kept", "1"),
    ];
    let response = request(proxy.address("web"), "GET", "/", &headers, None);
    assert_eq!(response.header("x-end"), Some("1"));
    assert_eq!((response.header("x-hop"), response.header("keep-alive")), (None, None));
    let head = &endpoint.requests()[0];
    for field in ["x-mine:", "gzip", "proxy-connection:", "keep-alive:", "upgrade:"] {
        assert!(!head.contains(field), "{field} in {head}");
    }
    assert!(head.contains("x-kept: 1\r\n") && head.contains("te: trailers\r\n"), "{head}");
}

#[test]
fn fields_go_on_in_the_order_in_which_they_came() {
    let endpoint =
        Endpoint::answering("HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 0\r\nx-b: 2\r\nX-A: 3\r\nx-b: 4\r\n\r\n");
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nx-one: 1\r\nhost: test\r\nx-two: 2\r\nconnection: keep-alive\r\nX-One: 3\r\nx-two: 4\r\n\r\n");
    let response = client.response_to("GET").expect("an answer");
    let answered: Vec<&str> =
        response.headers.iter().filter(|(name, _)| name.starts_with("x-")).map(|(_, value)| value.as_str()).collect();
    assert_eq!(answered, ["1", "2", "3", "4"]);
    let head = &endpoint.requests()[0];
    assert!(head.contains("\r\nx-one: 1\r\nhost: test\r\nx-two: 2\r\nx-one: 3\r\nx-two: 4\r\n"), "{head}");
}

#[test]
fn answers_without_a_body_end_at_their_head() {
    let head = Endpoint::answering("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
    let proxy = in_front_of(&[&head], "", "");
    let mut client = Connection::open(proxy.address("web"));
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
        let response = client.response_to("HEAD").expect("an answer");
        assert_eq!((response.status, response.header("content-length")), (200, Some("1000")));
    }
    for status in ["204 No Content", "304 Not Modified"] {
        let endpoint = Endpoint::answering(format!("HTTP/1.1 {status}\r\netag: \"1\"\r\n\r\n"));
        let proxy = in_front_of(&[&endpoint], "", "");
        let mut client = Connection::open(proxy.address("web"));
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
            let response = client.response().expect("an answer");
            assert_eq!(response.status.to_string(), status[..3]);
            assert_eq!(response.header("etag"), Some("\"1\""));
        }
    }
}

#[test]
fn connections_on_both_sides_are_kept_and_pipelined_requests_answered_in_order() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        while let Some(head) = read_request(&mut stream) {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    let requests: String = (0..20).map(|number| format!("GET /{number} HTTP/1.1\r\nhost: test\r\n\r\n")).collect();
    client.send(requests);
    for number in 0..20 {
        assert_eq!(client.response().expect("an answer").text(), format!("/{number}"));
    }
    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn a_client_that_ends_its_side_after_its_request_is_answered() {
    let gate = Gate::default();
    let passing = gate.clone();
    let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        if read_request(&mut stream).is_some() {
            passing.pass();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    client.finish();
    wait_for("the attempt", || (proxy.metric("plimsoll_endpoint_in_flight") == 1.0).then_some(()));
    gate.open();
    assert_eq!(client.response().expect("an answer").text(), "ok");
    assert_eq!(client.read_to_end(), b"", "and then the connection ends");
}

#[test]
fn rfc9112_9_6_a_refusal_with_the_body_unread_says_that_the_connection_closes() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "limits: { body_bytes: 10 }", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n");
    let answer = client.response().expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    // A body that has come with its head is out of the way.
    client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello worldGET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = client.response().expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (413, None));
    assert_eq!(client.response().expect("an answer").status, 200);
}

#[test]
fn a_date_is_added_where_the_endpoint_has_none() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    assert!(get(proxy.address("web"), "/").header("date").is_some_and(|date| date.ends_with(" GMT")));
    let dated = Endpoint::answering("HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 0\r\n\r\n");
    let proxy = in_front_of(&[&dated], "", "");
    assert_eq!(get(proxy.address("web"), "/").header("date"), Some("then"));
}

#[test]
fn http_1_0_clients_are_served() {
    let endpoint = Endpoint::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    let text = String::from_utf8(client.read_to_end()).expect("text");
    // Without chunks, which HTTP/1.0 does not know; the end of the connection is the end of the body.
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n") && text.ends_with("\r\n\r\nok"), "{text}");
    assert!(endpoint.requests()[0].starts_with("GET / HTTP/1.1\r\n"));
}

#[test]
fn chunks_and_trailers_pass_in_both_directions() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let Some(received) = read_request(&mut stream) else { return };
        let body = received.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-sum: 7\r\n\r\n",
            body.len()
        );
        // The client may have gone.
        let _ = stream.write_all(answer.as_bytes());
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: test\r\nte: trailers\r\nconnection: te, close\r\ntransfer-encoding: chunked\r\ntrailer: x-mine\r\n\r\n3\r\nabc\r\n0\r\nx-mine: 1\r\n\r\n");
    let text = String::from_utf8(client.read_to_end()).expect("text");
    assert!(text.contains("3\r\nabc\r\n0\r\nx-mine: 1\r\n"), "the request's trailers reached the endpoint: {text}");
    assert!(text.contains("0\r\nx-sum: 7\r\n\r\n"), "the answer's trailers reached the client: {text}");
}

#[test]
fn a_client_that_asks_first_is_told_to_continue() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&client.read(25)), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert_eq!(client.response().expect("an answer").text(), "one");
    assert!(endpoint.requests()[0].ends_with("\r\n\r\nabc"));
}

#[test]
fn an_answer_streams_before_it_is_whole() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let first = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        if read_request(&mut stream).is_some() && stream.write_all(first).is_ok() {
            // The rest never comes.
            std::thread::park();
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\r\n") {
        let byte = client.read(1);
        assert_eq!(byte.len(), 1, "the connection ended after {:?}", String::from_utf8_lossy(&seen));
        seen.extend(byte);
    }
}

/// More than fits between a writer and a reader that does not read: four socket buffers, of which Linux lets those that
/// receive grow to 32 MiB.
const FITS_BETWEEN: u64 = 96 << 20;

#[test]
fn a_client_that_does_not_read_stops_the_endpoint() {
    let written = Arc::new(AtomicU64::new(0));
    let counter = written.clone();
    let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        if read_request(&mut stream).is_none() || stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").is_err() {
            return;
        }
        let piece = vec![b'x'; 64 * 1024];
        while counter.load(Ordering::Relaxed) < 1 << 30 && stream.write_all(&piece).is_ok() {
            counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    stays_below(&written, FITS_BETWEEN);
    let before = written.load(Ordering::Relaxed);
    client.read(usize::try_from(before).expect("fits"));
    wait_for("the endpoint to go on", || (written.load(Ordering::Relaxed) > before).then_some(()));
}

#[test]
fn an_endpoint_that_does_not_read_stops_the_client() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut first = [0; 1024];
        if stream.read(&mut first).is_ok() {
            std::thread::park();
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let written = Arc::new(AtomicU64::new(0));
    let counter = written.clone();
    let address = proxy.address("web");
    std::thread::spawn(move || {
        let mut client = Connection::open(address);
        client.send(format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", 1u64 << 30));
        let piece = vec![b'x'; 64 * 1024];
        while counter.load(Ordering::Relaxed) < 1 << 30 && client.try_send(&piece) {
            counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    });
    stays_below(&written, FITS_BETWEEN);
}

/// Waits until a counter has stood still for as long as it takes to ask the proxy a hundred things, and checks where.
fn stays_below(counter: &AtomicU64, limit: u64) {
    let mut last = u64::MAX;
    let mut still = 0;
    wait_for("the transfer to stand still", || {
        let now = counter.load(Ordering::Relaxed);
        assert!(now < limit, "{now} bytes were taken though nobody reads");
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
        (still > 100).then_some(())
    });
}

#[test]
fn absolute_targets_and_hosts_are_understood() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET http://shop.test:81/a?b HTTP/1.1\r\nhost: other.test\r\n\r\n");
    assert_eq!(client.response().expect("an answer").status, 200);
    let head = &endpoint.requests()[0];
    // RFC 9112 section 3.2.2: the target counts, not the field.
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n") && head.contains("host: shop.test:81\r\n"), "{head}");
}
