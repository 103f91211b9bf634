//! HTTP/2 with prior knowledge, spoken by curl and h2load; nginx as the origin.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use plimsoll_tests::{Connection, Endpoint, Gate, Http2, Nginx, Proxy, Signal, curl, get, read_request, wait_for};

use crate::{PLIMSOLL, in_front_of};

#[test]
fn curl_speaks_http2_to_an_http1_endpoint() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let url = format!("http://{}/x", proxy.address("web"));
    let text = curl(&[
        "--http2-prior-knowledge",
        "-i",
        "-H",
        "cookie: a=1",
        "-H",
        "cookie: b=2",
        "-H",
        "te: trailers",
        "-d",
        "abc",
        &url,
    ]);
    assert!(text.starts_with("HTTP/2 200") && text.ends_with("one"), "{text}");
    let request = &endpoint.requests()[0];
    assert!(request.starts_with("POST /x HTTP/1.1\r\n") && request.ends_with("\r\n\r\nabc"), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", proxy.address("web"))), "{request}");
    // RFC 9113 section 8.2.3: one field again for HTTP/1.1.
    assert!(request.contains("cookie: a=1; b=2\r\n"), "{request}");
    assert!(request.contains("via: 2 plimsoll\r\n") || request.contains("via: 2.0 plimsoll\r\n"), "{request}");
}

#[test]
fn many_streams_on_few_connections_all_succeed() {
    let origin =
        Nginx::start("location / { return 200 hello; } location /large { }", &[("large", &vec![b'x'; 3_000_000])]);
    let proxy = in_front_of_address(&origin.address().to_string());
    let url = format!("http://{}/", proxy.address("web"));
    let output =
        Command::new("h2load").args(["-n", "4000", "-c", "4", "-m", "25", &url]).output().expect("h2load runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("4000 succeeded, 0 failed, 0 errored"), "{text}");
    assert!(text.contains("4000 2xx"), "{text}");
    let output = Command::new("h2load")
        .args(["-n", "40", "-c", "2", "-m", "10", &format!("{url}large")])
        .output()
        .expect("h2load runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("40 succeeded, 0 failed, 0 errored") && text.contains("40 2xx"), "{text}");
    assert_eq!(proxy.metric("plimsoll_requests_total{cluster=\"app\",class=\"2xx\"}"), 4040.0);
}

#[test]
fn nginx_as_an_origin_gets_what_it_needs() {
    let origin = Nginx::start("", &[("index.html", b"<p>hello"), ("large", &vec![b'x'; 3_000_000])]);
    let proxy = in_front_of_address(&origin.address().to_string());
    let url = |path: &str| format!("http://{}{path}", proxy.address("web"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let first = curl(&[version, "-i", &url("/index.html")]);
        assert!(first.contains("server: nginx") && first.ends_with("<p>hello"), "{first}");
        let etag =
            first.lines().find_map(|line| line.strip_prefix("etag: ")).expect("nginx gives an etag").trim().to_owned();
        let unchanged = curl(&[version, "-i", "-H", &format!("if-none-match: {etag}"), &url("/index.html")]);
        assert!(unchanged.contains(" 304"), "{unchanged}");
        assert!(curl(&[version, "-I", &url("/large")]).contains("content-length: 3000000"));
        let range = curl(&[version, "-r", "0-2", &url("/large")]);
        assert_eq!(range, "xxx");
        assert_eq!(
            curl(&[version, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", &url("/large")]),
            "200 3000000"
        );
        assert!(curl(&[version, "-o", "/dev/null", "-w", "%{http_code}", &url("/missing")]) == "404");
    }
}

fn in_front_of_address(address: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{address}\" ] }} ]"
        ),
    )
}

#[test]
fn early_hints_reach_http2_clients_too() {
    let endpoint = Endpoint::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nconnection: x\r\nx: 1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let proxy = in_front_of(&[&endpoint], "", "");
    let answer = Http2::open(proxy.address("web")).get("http://a/").expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"ok"[..]));
    let (status, fields) = &answer.informational[0];
    assert_eq!((status.as_u16(), fields.get("link").map(|link| link.as_bytes())), (103, Some(&b"</a>"[..])));
    assert!(!fields.contains_key("x") && !fields.contains_key("connection"), "{fields:?}");
}

#[test]
fn rfc9110_6_4_1_answers_without_content_have_none_over_http2() {
    let proxy = Proxy::start(
        PLIMSOLL,
        "listeners:
  - name: web
    bind: 127.0.0.1:0
    router: { plugin: rules, config: { routes: [
      { match: { path_exact: /204 }, respond: { status: 204, body: hello } },
      { match: { path_exact: /304 }, respond: { status: 304, body: hello } },
      { match: { path_exact: /lies }, respond: { status: 200, headers: { content-length: \"50\" }, body: hello } } ] } }
clusters: [ { name: app, endpoints: [ \"127.0.0.1:1\" ] } ]",
    );
    let client = Http2::open(proxy.address("web"));
    for path in ["204", "304"] {
        let answer = client.get(&format!("http://a/{path}")).expect("an answer");
        assert_eq!((answer.status.as_str(), answer.body.as_slice()), (path, &b""[..]));
        assert!(!answer.headers.contains_key("content-length"), "{answer:?}");
    }
    let head = client.send(http::Request::head("http://a/lies").body(()).expect("valid"), None).expect("an answer");
    assert_eq!((head.headers["content-length"].as_bytes(), head.body.as_slice()), (&b"5"[..], &b""[..]));
    // Over HTTP/1.1, a length of the plugin's own would put the connection out of step.
    let mut client = Connection::open(proxy.address("web"));
    client.send("GET /lies HTTP/1.1\r\nhost: a\r\n\r\nGET /204 HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = client.response().expect("an answer");
    assert_eq!((answer.header("content-length"), answer.text().as_str()), (Some("5"), "hello"));
    assert_eq!(client.response().map(|answer| answer.status), Some(204));
}

#[test]
fn limits_hold_for_every_stream() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "limits: { header_count: 20 }", "");
    let client = Http2::open(proxy.address("web"));
    let status = |fields: usize| {
        let mut request = http::Request::get("http://a/");
        for number in 0..fields {
            request = request.header(format!("x-{number}"), "1");
        }
        client.send(request.body(()).expect("valid"), None).expect("an answer").status.as_u16()
    };
    assert_eq!((status(10), status(30)), (200, 431));
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_does_not_hold_the_attempt() {
    let endpoint = Endpoint::answering(
        ["HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n".as_bytes(), &vec![b'x'; 3_000_000]].concat(),
    );
    let proxy = in_front_of(&[&endpoint], "timeouts: { body_idle: 300ms }", "max_connections: 2");
    for window in [0, 1000] {
        let client = Http2::open_with(proxy.address("web"), h2::client::Builder::new().initial_window_size(window));
        for begun in client.begin("http://a/", 2) {
            assert_eq!(client.end_of(begun), Some(h2::Reason::CANCEL), "a window of {window}");
        }
        wait_for("the attempts to end", || (proxy.metric("plimsoll_endpoint_in_flight") == 0.0).then_some(()));
    }
}

#[test]
fn an_idle_connection_hears_goaway() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "timeouts: { keep_alive: 200ms }", "");
    let client = Http2::open(proxy.address("web"));
    assert_eq!(client.get("http://a/").expect("an answer").status.as_u16(), 200);
    assert_eq!(client.closed(), Some(h2::Reason::NO_ERROR));
    assert_eq!(Http2::open(proxy.address("web")).closed(), Some(h2::Reason::NO_ERROR), "one that never asked");
}

#[test]
fn streams_under_way_finish_when_the_proxy_drains() {
    let gate = Gate::default();
    let passing = gate.clone();
    let endpoint = Endpoint::scripted(std::sync::Arc::new(move |mut stream: TcpStream| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
            passing.pass();
            let _ = stream.write_all(b"lf");
        }
    }));
    let mut proxy = in_front_of(&[&endpoint], "", "");
    let client = Http2::open(proxy.address("web"));
    let begun = client.begin("http://a/", 1).remove(0);
    wait_for("the attempt", || (proxy.metric("plimsoll_endpoint_in_flight") == 1.0).then_some(()));
    proxy.signal(Signal::Term);
    gate.open();
    assert_eq!(client.end_of(begun), None, "it ends well");
    assert_eq!(client.closed(), Some(h2::Reason::NO_ERROR));
    assert!(proxy.wait_for_end().success());
}

/// A frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, (payload.len() >> 8) as u8, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn a_head_that_is_begun_has_its_time_and_other_frames_begin_none() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "timeouts: { client_header: 300ms, keep_alive: 30s }", "");
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b"")].concat();
    let mut client = Connection::open(proxy.address("web"));
    client.send(&preface);
    client.read(9);
    // Frames that begin no head, for longer than a head may take.
    for _ in 0..10 {
        std::thread::park_timeout(Duration::from_millis(60));
        client.send(frame(6, 0, 0, b"12345678"));
    }
    // HEADERS without END_HEADERS: `:method: GET`.
    client.send(frame(1, 0, 1, &[0x82]));
    client.read_to_end();
    assert!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"timeout\"}") >= 1.0);
}

#[test]
fn an_answer_that_breaks_before_its_client_has_seen_any_of_it_is_502() {
    let endpoint = Endpoint::scripted(std::sync::Arc::new(|mut stream: TcpStream| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
        }
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    assert_eq!(get(proxy.address("web"), "/").status, 502);
    let answer = Http2::open(proxy.address("web")).get("http://a/").expect("an answer");
    assert_eq!(answer.status.as_u16(), 502);
    assert_eq!(proxy.metric("plimsoll_requests_total{cluster=\"app\",class=\"5xx\"}"), 2.0);
}

#[test]
fn a_client_that_makes_the_proxy_give_up_most_of_what_it_asks_for_is_let_go() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b"")].concat());
    for stream in (1..1200_u32).step_by(2) {
        // No path.
        let mut malformed = frame(1, 5, 0, &[0x82, 0x86]);
        malformed[5..9].copy_from_slice(&stream.to_be_bytes());
        client.send(malformed);
    }
    let answered = client.read_to_end();
    let goaway = [&[0, 0, 8, 7, 0, 0, 0, 0, 0][..], &999_u32.to_be_bytes(), &0xb_u32.to_be_bytes()].concat();
    assert!(
        answered.ends_with(&goaway),
        "500 requests, and ENHANCE_YOUR_CALM: {:x?}",
        &answered[answered.len() - 40..]
    );
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"given_up\"}"), 1.0);
}

#[test]
fn a_client_that_gives_up_most_of_what_it_asks_for_is_let_go() {
    let endpoint = Endpoint::scripted(std::sync::Arc::new(|mut stream: TcpStream| {
        // Never an answer.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }));
    let proxy = in_front_of(&[&endpoint], "", "");
    let client = Http2::open(proxy.address("web"));
    for round in 1..=10 {
        let begun = client.begin("http://a/", 50);
        wait_for("all of them to be under way", || (endpoint.connections() >= round * 50).then_some(()));
        drop(begun);
    }
    assert_eq!(client.closed(), Some(h2::Reason::ENHANCE_YOUR_CALM));
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"given_up\"}"), 1.0);
}
