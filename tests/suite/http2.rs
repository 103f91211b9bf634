//! HTTP/2 with prior knowledge, spoken by curl and h2load; nginx as the origin.

use std::process::Command;

use plimsoll_tests::{Endpoint, Nginx, Proxy, curl};

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
