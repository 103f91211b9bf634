//! The request that is meant is the same for route, plugin and endpoint, whatever form and protocol it came in; what could
//! be understood in two ways is refused.

use http::{Request, Version};
use plimsoll_tests::{Connection, Endpoint, Http2, Proxy};

use crate::{PLIMSOLL, in_front_of};

/// The status of the answer to these bytes, and the first line that the endpoint got.
fn asked(proxy: &Proxy, endpoint: &Endpoint, bytes: &str) -> (Option<u16>, Option<String>) {
    let before = endpoint.requests().len();
    let mut client = Connection::open(proxy.address("web"));
    client.send(bytes);
    let status = client.response().map(|response| response.status);
    let line = endpoint.requests().get(before).and_then(|head| head.lines().next().map(ToOwned::to_owned));
    (status, line)
}

#[test]
fn rfc9112_3_2_targets_of_other_forms_are_refused_or_become_the_origin_form() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let ask = |target: &str, method: &str| {
        asked(&proxy, &endpoint, &format!("{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
    };
    for target in ["admin", "other.test:80", "*", "?x=1", "/a#b", "ftp://a/", "http://user@a/"] {
        assert_eq!(ask(target, "GET"), (Some(400), None), "{target}");
    }
    let passed = |line: &str| (Some(200), Some(line.to_owned()));
    assert_eq!(ask("http://a?token=abc", "GET"), passed("GET /?token=abc HTTP/1.1"));
    assert_eq!(ask("http://a", "GET"), passed("GET / HTTP/1.1"));
    assert_eq!(ask("http://a", "OPTIONS"), passed("OPTIONS * HTTP/1.1"));
    assert_eq!(ask("*", "OPTIONS"), passed("OPTIONS * HTTP/1.1"));
}

#[test]
fn rfc9113_8_3_1_targets_of_http2_are_paths_and_authorities_are_one() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let client = Http2::open(proxy.address("web"));
    let status = |request: http::request::Builder| {
        let request = request.version(Version::HTTP_2).body(()).expect("a request");
        client.send(request, None).expect("an answer").status.as_u16()
    };
    assert_eq!(status(Request::get("http://a/ok")), 200);
    let before = endpoint.requests().len();
    assert_eq!(status(Request::get("http://a/").header("host", "b")), 400);
    assert_eq!(status(Request::get("ftp://a/")), 400);
    assert_eq!(status(Request::get("http://u@a/")), 400);
    assert_eq!(status(Request::get("http://a/").header("content-length", "")), 400);
    assert_eq!(endpoint.requests().len(), before, "none of these has reached the endpoint");
    assert_eq!(status(Request::get("http://a/").header("host", "a")), 200);
}

/// A proxy that logs to its standard output.
fn logged(endpoint: &Endpoint, listener: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

/// A frame that begins and ends a request of these fields, none of them compressed (RFC 7541 section 6.2.2).
fn request_frame(stream: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.extend([0, name.len() as u8]);
        block.extend(name.bytes());
        block.push(value.len() as u8);
        block.extend(value.bytes());
    }
    [vec![0, 0, block.len() as u8, 1, 0x5, 0, 0, 0, stream], block].concat()
}

#[test]
fn rfc9113_8_3_1_what_is_no_path_reaches_nobody_and_ends_its_stream_alone() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let mut client = Connection::open(proxy.address("web"));
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut stream = 1;
    for path in ["admin", "http://internal.test/", "?x=1", "*", ""] {
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)];
        client.send(request_frame(stream, &fields));
        stream += 2;
    }
    client
        .send(request_frame(stream, &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/ok")]));
    plimsoll_tests::wait_for("the good request", || (!endpoint.requests().is_empty()).then_some(()));
    assert!(endpoint.requests()[0].starts_with("GET /ok "), "{:?}", endpoint.requests());
    assert_eq!(endpoint.requests().len(), 1);
}

#[test]
fn rfc9113_8_1_1_a_malformed_request_ends_its_stream_alone_and_is_logged() {
    let endpoint = Endpoint::named("one");
    let proxy = logged(&endpoint, "");
    let base = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/ok")];
    let method = [("x-first", "1"), (":method", "G T"), base[1], base[2], base[3]];
    let fragment = [base[0], base[1], base[2], (":path", "/a#b")];
    let field = |name, value| [&base[..], &[(name, value)]].concat();
    let malformed: [&[(&str, &str)]; 6] = [
        &method[1..],
        &fragment,
        &field("Upper", "1"),
        &field("x", "a\r\nb: c"),
        &field("", "1"),
        &field(":evil", "1"),
    ];
    let mut client = Connection::open(proxy.address("web"));
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut stream = 1;
    for fields in malformed {
        client.send(request_frame(stream, fields));
        stream += 2;
    }
    // Trailers of a request that is good so far.
    let mut open = request_frame(stream, &base);
    open[4] &= !1;
    client.send([open, request_frame(stream, &[(":path", "/other")])].concat());
    client.send(request_frame(stream + 2, &base));
    plimsoll_tests::wait_for("the good request", || (!endpoint.requests().is_empty()).then_some(()));
    plimsoll_tests::wait_for("a line for each", || {
        let lines = proxy.stdout();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let refused = lines.filter(|line| line["status"] == 400 && line["flag"] == "BR").count();
        (refused == malformed.len() + 1).then_some(())
    });
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"parse\"}"), 7.0);
}

#[test]
fn a_request_of_http_1_0_without_host_gets_the_address_that_it_was_sent_to() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    assert_eq!(asked(&proxy, &endpoint, "GET / HTTP/1.0\r\n\r\n").0, Some(200));
    let host = format!("host: {}\r\n", proxy.address("web"));
    assert!(endpoint.requests()[0].contains(&host), "{:?}", endpoint.requests());
}

#[test]
fn hosts_are_hosts() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    for host in ["a:b", "a:99999", "[::1", "::1", "a@b", "a%zz", "a, b"] {
        let bytes = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(asked(&proxy, &endpoint, &bytes), (Some(400), None), "{host}");
    }
    for host in ["a:80", "[::1]:80", "a_b.test"] {
        assert_eq!(asked(&proxy, &endpoint, &format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).0, Some(200), "{host}");
    }
}

#[test]
fn names_with_underscores_reach_no_application_unless_they_may() {
    let request = "GET / HTTP/1.1\r\nhost: a\r\nx_forwarded_for: 10.0.0.1\r\ncontent_length: 5\r\n\r\n";
    for (setting, status, passes) in [
        ("", 200, false),
        ("underscores: drop", 200, false),
        ("underscores: pass", 200, true),
        ("underscores: reject", 400, false),
    ] {
        let endpoint = Endpoint::named("one");
        let proxy = in_front_of(&[&endpoint], setting, "");
        assert_eq!(asked(&proxy, &endpoint, request).0, Some(status), "{setting}");
        let seen = endpoint.requests().concat();
        assert_eq!(seen.contains("x_forwarded_for") && seen.contains("content_length"), passes, "{setting}: {seen}");
    }
}

#[test]
fn rfc9110_7_6_2_max_forwards_counts_down_and_ends_here_at_0() {
    let endpoint = Endpoint::named("one");
    let proxy = in_front_of(&[&endpoint], "", "");
    let ask = |method: &str, left: u32| {
        asked(&proxy, &endpoint, &format!("{method} / HTTP/1.1\r\nhost: a\r\nmax-forwards: {left}\r\n\r\n"))
    };
    assert_eq!(ask("OPTIONS", 0), (Some(200), None));
    assert_eq!(ask("TRACE", 0), (Some(405), None));
    assert_eq!(ask("OPTIONS", 2).0, Some(200));
    assert!(endpoint.requests()[0].contains("max-forwards: 1\r\n"), "{:?}", endpoint.requests());
}

#[test]
fn what_is_refused_stands_in_the_access_log() {
    let endpoint = Endpoint::named("one");
    let proxy = logged(&endpoint, "timeouts: { client_header: 200ms }");
    let long = "y".repeat(80_000);
    for (bytes, status, path) in [
        ("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 400, "/a b"),
        ("GET /h HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n".to_owned(), 400, "/h"),
        (format!("GET /big HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), 431, "/big"),
        (format!("GET /{long}"), 414, "/yyy"),
        ("GET /v HTTP/7.1\r\n\r\n".to_owned(), 505, "/v"),
        ("POST /gz HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n".to_owned(), 501, "/gz"),
        ("POST /chunk HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(), 400, "/chunk"),
        ("GET /slow HTTP/1.1\r\nhost: a\r\n".to_owned(), 408, "/slow"),
    ] {
        let mut client = Connection::open(proxy.address("web"));
        client.try_send(&bytes);
        let response = client.response().unwrap_or_else(|| panic!("no answer to {path}"));
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.header("connection"), Some("close"), "{path}");
        plimsoll_tests::wait_for("the line in the log", || {
            let lines: Vec<serde_json::Value> =
                proxy.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            lines
                .iter()
                .any(|line| {
                    line["status"] == status && line["path"].as_str().is_some_and(|logged| logged.starts_with(path))
                })
                .then_some(())
        });
    }
}

#[test]
fn a_head_that_is_too_large_over_http2_stands_in_the_access_log() {
    /// What begins a connection: the preface and SETTINGS.
    const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let endpoint = Endpoint::named("one");
    let proxy = logged(&endpoint, "limits: { header_bytes: 8KiB }");
    // GET, http, `/`, and a field of 9000 bytes.
    let block = [&[0x82, 0x86, 0x84, 0, 1, b'x', 0x7f, 0x80 | 41, 69][..], &[b'y'; 9000]].concat();
    let length = (block.len() as u32).to_be_bytes();
    let mut client = Connection::open(proxy.address("web"));
    client.send([BEGIN, &length[1..], &[1, 5, 0, 0, 0, 1], &block].concat());
    plimsoll_tests::wait_for("the line in the log", || {
        let lines = proxy.stdout();
        let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.find(|line| line["status"] == 431)
    });
    assert_eq!(proxy.metric("plimsoll_bad_requests_total{listener=\"web\",reason=\"header_too_large\"}"), 1.0);
    // And nothing of the connection is lost.
    client.send([0, 0, 6, 1, 5, 0, 0, 0, 3, 0x82, 0x86, 0x84, 0x41, 1, b'a']);
    plimsoll_tests::wait_for("the next request", || (endpoint.requests().len() == 1).then_some(()));
}
