//! Requests that break the protocol or a limit: the right answer and a counter, never a crash.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use plimsoll_tests::{Connection, Endpoint, Proxy, get, request, wait_for};

use crate::in_front_of;

/// Sends bytes and tells the status of the answer; none when the connection just ends.
fn status_of(proxy: &Proxy, bytes: &[u8]) -> Option<u16> {
    let mut client = Connection::open(proxy.address("web"));
    client.try_send(bytes);
    client.response().map(|response| response.status)
}

#[test]
fn malformed_requests_get_400_and_never_reach_an_endpoint() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let malformed: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n folded: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for bytes in malformed {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(status_of(&proxy, bytes), Some(400), "{shown}");
    }
    assert_eq!(status_of(&proxy, b"GET / HTTP/9.9\r\nhost: a\r\n\r\n"), Some(505));
    let coded = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status_of(&proxy, coded), Some(501), "a coding that is not undone");
    assert_eq!(endpoint.requests(), Vec::<String>::new());
    assert_eq!(get(proxy.address("web"), "/").status, 200);
    let bad = proxy.metric("plimsoll_bad_requests_total")
        + proxy.metric("plimsoll_requests_total{cluster=\"none\",class=\"4xx\"");
    assert!(bad >= malformed.len() as f64, "{bad} of {} were counted", malformed.len());
}

#[test]
fn rfc9112_6_1_a_length_beside_chunks_is_refused() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    for fields in
        ["transfer-encoding: chunked\r\ncontent-length: 30", "content-length: 30\r\ntransfer-encoding: chunked"]
    {
        let bytes = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n1\r\nx\r\n0\r\n\r\n");
        assert_eq!(status_of(&proxy, bytes.as_bytes()), Some(400));
    }
    assert_eq!(endpoint.requests().len(), 0);
}

#[test]
fn a_broken_chunk_fails_its_request_and_smuggles_nothing() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    for chunk in ["zz\r\nabc\r\n", "-1\r\n", "3\r\nabcd\r\n0\r\n\r\n", "fffffffffffffffff\r\n"] {
        let mut client = Connection::open(proxy.address("web"));
        client.try_send(format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"));
        let status = client.response().map(|response| response.status);
        assert!(!matches!(status, Some(200..400)), "{chunk:?}: {status:?}");
    }
    assert!(endpoint.requests().iter().all(|head| !head.starts_with("GET /smuggled")), "{:?}", endpoint.requests());
}

#[test]
fn heads_that_are_too_large_get_431_and_are_counted() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "limits: { header_bytes: 8KiB, header_count: 20 }", "");
    let many: String = (0..30).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert_eq!(status_of(&proxy, format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes()), Some(431));
    let long = "x".repeat(20_000);
    assert_eq!(status_of(&proxy, format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n").as_bytes()), Some(431));
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"header_too_large\"}"), 2.0);
    assert_eq!(endpoint.requests().len(), 0);
}

#[test]
fn bodies_that_are_too_large_get_413() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "limits: { body_bytes: 1KiB }", "");
    let web = proxy.address("web");
    assert_eq!(request(web, "POST", "/", &[], Some(&[b'x'; 1024])).status, 200);
    assert_eq!(request(web, "POST", "/", &[], Some(&[b'x'; 1025])).status, 413);
    // One whose length is not known before it has come.
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let bytes = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert_eq!(status_of(&proxy, bytes.as_bytes()), Some(413));
    // The endpoint is not to blame.
    assert_eq!(proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["failures"], 0);
}

#[test]
fn a_client_that_still_sends_when_it_is_refused_can_read_why() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "limits: { body_bytes: 1KiB }", "");
    for _ in 0..10 {
        let mut client = TcpStream::connect(proxy.address("web")).expect("the proxy listens");
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 900_000);
        client.write_all(head.as_bytes()).expect("the head is taken");
        client.write_all(&vec![b'x'; 900_000]).expect("the body is taken, not reset");
        client.shutdown(Shutdown::Write).expect("still connected");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("a proper end, not a reset");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[test]
fn connections_beyond_the_limit_get_503() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "limits: { connections: 2 }", "");
    let web = proxy.address("web");
    let mut kept: Vec<Connection> = (0..2).map(|_| Connection::open(web)).collect();
    for client in &mut kept {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.response().expect("an answer").status, 200);
    }
    assert_eq!(status_of(&proxy, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"), Some(503));
    assert!(proxy.metric("plimsoll_connections_refused_total") >= 1.0);
    drop(kept);
    wait_for("a place to be free", || {
        (status_of(&proxy, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n") == Some(200)).then_some(())
    });
}

#[test]
fn methods_that_are_not_served_are_refused() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    assert_eq!(status_of(&proxy, b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"), Some(405));
    assert_eq!(
        status_of(&proxy, b"BREW /pot HTTP/1.1\r\nhost: a\r\n\r\n"),
        Some(200),
        "unknown methods are the endpoint's business"
    );
}

#[test]
fn a_source_has_so_many_connections_and_others_are_not_concerned() {
    let endpoint = Endpoint::named("one");
    let proxy = Proxy::start(
        crate::PLIMSOLL,
        &format!(
            "workers: 2
listeners:
  - name: web
    bind: 127.0.0.1:0
    cluster: app
    limits: {{ connections_per_source: 3 }}
    proxy_protocol: {{ from: [127.0.0.1], mode: optional }}
  - {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app, limits: {{ connections_per_source: 1 }} }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    );
    let ask = |from: &str| {
        let mut client = Connection::open(proxy.address("web"));
        client.send(format!("PROXY TCP4 {from} 127.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"));
        let status = client.response().map(|response| response.status);
        (client, status)
    };
    let mut open: Vec<_> = (0..3).map(|_| ask("192.0.2.7")).collect();
    assert!(open.iter().all(|(_, status)| *status == Some(200)));
    assert_ne!(ask("192.0.2.7").1, Some(200));
    assert_eq!(ask("192.0.2.8").1, Some(200));
    assert_eq!(proxy.metric("plimsoll_connections_refused_total{listener=\"web\",reason=\"source_limit\"}"), 1.0);
    // One that ends makes room for another.
    open.pop();
    let again = wait_for("room for another", || {
        let (client, status) = ask("192.0.2.7");
        (status == Some(200)).then_some(client)
    });
    drop(again);
    let mut first = Connection::open(proxy.address("raw"));
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(first.response().expect("an answer").status, 200);
    assert_eq!(Connection::open(proxy.address("raw")).read_to_end(), b"");
}
