//! What proxies in front of us say of their connections before the first byte.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use plimsoll_tests::{
    Authority, Connection, Endpoint, Issued, Proxy, Server, curl, get, haproxy, self_signed, wait_for,
};
use serde_json::Value;

use crate::PLIMSOLL;

/// Version 2 with this command, family and what follows.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a length");
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length.to_be_bytes(), rest].concat()
}

/// From 192.0.2.7:4711 to 198.51.100.1:443.
const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];
const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
const ASK: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// A listener for HTTP and one for TCP.
fn behind(endpoint: &Endpoint, terms: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json, output: stdout }}
listeners:
  - {{ name: web, bind: 127.0.0.1:0, cluster: app, proxy_protocol: {{ {terms} }} }}
  - {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app, proxy_protocol: {{ {terms} }} }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

const TRUSTED: &str = "from: [127.0.0.0/8]";

fn headers(proxy: &Proxy, listener: &str, header: &str) -> f64 {
    proxy.metric(&format!("plimsoll_proxy_protocol_headers_total{{listener=\"{listener}\",header=\"{header}\"}}"))
}

/// What the access log says, line by line.
fn logged(proxy: &Proxy, lines: usize) -> Vec<Value> {
    wait_for("lines in the access log", || {
        let found: Vec<Value> = proxy.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (found.len() >= lines).then_some(found)
    })
}

fn forwarded_for(endpoint: &Endpoint) -> Option<String> {
    let head = endpoint.requests().pop()?.to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("x-forwarded-for: ").map(str::to_owned))
}

#[test]
fn the_client_that_a_trusted_proxy_names_is_the_client() {
    let endpoint = Endpoint::named("one");
    let proxy = behind(&endpoint, TRUSTED);
    for header in [LINE.as_bytes().to_vec(), binary(0x21, 0x11, &ADDRESSES)] {
        let mut client = Connection::open(proxy.address("web"));
        client.send([&header, ASK.as_bytes()].concat());
        assert_eq!(client.response().expect("an answer").status, 200);
        assert_eq!(forwarded_for(&endpoint).as_deref(), Some("192.0.2.7"));
    }
    let mut client = Connection::open(proxy.address("raw"));
    client.send(format!("{LINE}{ASK}"));
    assert_eq!(client.response().expect("an answer").status, 200);
    drop(client);
    for line in logged(&proxy, 3) {
        assert_eq!(line["client"], "192.0.2.7:4711", "{line}");
    }
    assert_eq!((headers(&proxy, "web", "v1"), headers(&proxy, "web", "v2")), (1.0, 1.0));
    assert_eq!(headers(&proxy, "raw", "v1"), 1.0);
}

#[test]
fn a_header_may_come_in_pieces_and_takes_nothing_of_what_follows() {
    let endpoint = Endpoint::named("one");
    let proxy = behind(&endpoint, TRUSTED);
    for header in [LINE.as_bytes().to_vec(), binary(0x21, 0x11, &ADDRESSES)] {
        let mut client = Connection::open(proxy.address("web"));
        client.stream().set_nodelay(true).expect("a socket");
        for byte in [&header, ASK.as_bytes()].concat() {
            client.send([byte]);
        }
        assert_eq!(client.response().expect("an answer").status, 200);
        assert_eq!(forwarded_for(&endpoint).as_deref(), Some("192.0.2.7"));
    }
}

#[test]
fn whoever_speaks_for_itself_is_the_client() {
    let endpoint = Endpoint::named("one");
    let proxy = behind(&endpoint, TRUSTED);
    let unix = binary(0x21, 0x31, &[b'/'; 216]);
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), binary(0x20, 0, &[]), binary(0x21, 0, &[]), unix] {
        let mut client = Connection::open(proxy.address("web"));
        client.send([&header, ASK.as_bytes()].concat());
        assert_eq!(client.response().expect("an answer").status, 200);
        assert_eq!(forwarded_for(&endpoint).as_deref(), Some("127.0.0.1"));
    }
    assert_eq!(headers(&proxy, "web", "local"), 4.0);
}

#[test]
fn connections_without_a_right_header_are_refused_and_counted() {
    let endpoint = Endpoint::named("one");
    let proxy = behind(&endpoint, &format!("{TRUSTED}, timeout: 300ms"));
    let bent = binary(0x21, 0x11, &[&ADDRESSES[..], &[3, 0, 4, 1, 2, 3, 4]].concat());
    let cases: [(&[u8], bool, &str); 8] = [
        (ASK.as_bytes(), false, "absent"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", false, "malformed"),
        (&LINE.as_bytes()[..20], true, "malformed"),
        (&bent, false, "malformed"),
        (&binary(0x21, 0x11, &[0; 5000]), false, "malformed"),
        (&binary(0x21, 0x11, &ADDRESSES)[..20], false, "timeout"),
        (b"", false, "timeout"),
        (b"", true, "closed"),
    ];
    for listener in ["web", "raw"] {
        for (bytes, ends, counted) in cases {
            let before = headers(&proxy, listener, counted);
            let mut client = Connection::open(proxy.address(listener));
            client.send(bytes);
            if ends {
                client.finish();
            }
            wait_for(counted, || (headers(&proxy, listener, counted) > before).then_some(()));
        }
    }
    let lines = logged(&proxy, 14);
    assert_eq!(lines.len(), 14, "who says nothing and goes is refused nothing");
    for line in lines {
        assert_eq!((&line["flag"], &line["end"]), (&Value::from("PP"), &Value::from("proxy_header")), "{line}");
        assert!(line["client"].as_str().is_some_and(|client| client.starts_with("127.0.0.1:")), "{line}");
    }
    assert_eq!(endpoint.connections(), 0);
    wait_for("all connections to be closed", || (proxy.metric("plimsoll_connections_open") == 0.0).then_some(()));
}

#[test]
fn where_it_is_optional_others_are_served_as_they_are() {
    let endpoint = Endpoint::named("one");
    let proxy = behind(&endpoint, &format!("{TRUSTED}, mode: optional, timeout: 300ms"));
    assert_eq!(get(proxy.address("web"), "/").status, 200);
    assert_eq!(forwarded_for(&endpoint).as_deref(), Some("127.0.0.1"));
    let mut client = Connection::open(proxy.address("web"));
    client.send(format!("{LINE}{ASK}"));
    assert_eq!(client.response().expect("an answer").status, 200);
    assert_eq!(forwarded_for(&endpoint).as_deref(), Some("192.0.2.7"));
    // An endpoint that speaks first has nobody to wait for.
    let greeter = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let _ = stream.write_all(b"220 hello\r\n");
    }));
    let proxy = behind(&greeter, &format!("{TRUSTED}, mode: optional, timeout: 300ms"));
    assert_eq!(Connection::open(proxy.address("raw")).read_to_end(), b"220 hello\r\n");
}

#[test]
fn nobody_is_believed_who_is_not_trusted() {
    let endpoint = Endpoint::named("one");
    let proxy = behind(&endpoint, "from: [192.0.2.0/24]");
    let mut client = Connection::open(proxy.address("web"));
    client.send(format!("{LINE}{ASK}"));
    assert!(client.response().is_none());
    let proxy = behind(&endpoint, "from: [192.0.2.0/24], mode: optional");
    let mut client = Connection::open(proxy.address("web"));
    client.send(format!("{LINE}{ASK}"));
    assert_eq!(client.response().expect("an answer").status, 400);
    assert_eq!(get(proxy.address("web"), "/").status, 200);
    assert_eq!(headers(&proxy, "web", "untrusted"), 2.0);
}

/// A listener with TLS behind HAProxy, which sends with these options of a server.
fn behind_haproxy(endpoint: &Endpoint, options: &str) -> (Proxy, Server) {
    let (chain, key) = self_signed("shop.test");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, proxy_protocol: {{ {TRUSTED} }} }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    );
    let server = haproxy(&[("pair.pem", &[chain, key].concat())], |address, here| {
        format!(
            "frontend web
  bind {address} ssl crt {here}/pair.pem alpn http/1.1
  mode tcp
  unique-id-format %{{+X}}o-%ci:%cp
  default_backend app
backend app
  mode tcp
  option httpchk GET /
  source 127.0.0.3
  server one {} {options}",
            proxy.address("web")
        )
    });
    (proxy, server)
}

#[test]
fn haproxy_is_understood_with_all_that_it_can_say() {
    let endpoint = Endpoint::named("one");
    let all =
        "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id";
    for (options, counted, scheme) in
        [("send-proxy", "v1", "http"), ("send-proxy-v2", "v2", "http"), (all, "v2", "https")]
    {
        let (proxy, haproxy) = behind_haproxy(&endpoint, options);
        let port = haproxy.address().port();
        let url = format!("https://shop.test:{port}/");
        let resolve = format!("shop.test:{port}:127.0.0.1");
        assert_eq!(curl(&["-ks", "--resolve", &resolve, "--interface", "127.0.0.2", &url]), "one");
        assert_eq!(forwarded_for(&endpoint).as_deref(), Some("127.0.0.2"), "{options}");
        let head = endpoint.requests().pop().expect("a request").to_ascii_lowercase();
        assert!(head.contains(&format!("x-forwarded-proto: {scheme}\r\n")), "{options}: {head}");
        assert_eq!(headers(&proxy, "web", counted), 1.0);
    }
}

#[test]
fn haproxy_checks_us_as_itself() {
    let endpoint = Endpoint::named("one");
    // In version 1 it says who it is, in version 2 that it is itself (LOCAL).
    let cases = [("send-proxy check inter 100ms", "v1"), ("send-proxy-v2 check inter 100ms", "local")];
    for (options, counted) in cases {
        let (proxy, _haproxy) = behind_haproxy(&endpoint, options);
        wait_for("checks", || (headers(&proxy, "web", counted) >= 2.0).then_some(()));
        assert_eq!(headers(&proxy, "web", "malformed"), 0.0);
    }
}

#[test]
fn the_header_comes_before_tls() {
    let endpoint = Endpoint::named("one");
    let authority = Authority::new("proxy-protocol");
    let Issued { certificate, key } = authority.issue("shop", "DNS:shop.test");
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners:
  - name: web
    bind: 127.0.0.1:0
    cluster: app
    proxy_protocol: {{ {TRUSTED} }}
    tls: {{ certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ] }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            certificate.display(),
            key.display(),
            endpoint.address()
        ),
    );
    let url = format!("https://{}/", proxy.address("web"));
    assert_eq!(curl(&["-ks", "--haproxy-protocol", &url]), "one");
    assert_eq!(forwarded_for(&endpoint).as_deref(), Some("127.0.0.1"));
    assert_eq!(headers(&proxy, "web", "v1"), 1.0);
    assert!(curl(&["-ks", &url]).starts_with("curl: "));
}
