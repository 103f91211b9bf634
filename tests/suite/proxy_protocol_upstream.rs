//! What endpoints are told of clients before the first byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use plimsoll_tests::{Connection, Endpoint, Nginx, Proxy, curl, free_address, get, haproxy, read_request, wait_for};

use crate::PLIMSOLL;

fn in_front_of(endpoint: impl std::fmt::Display, listener: &str, cluster: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ \"{endpoint}\" ], {cluster} }} ]"
        ),
    )
}

/// An endpoint that remembers what each connection begins with, up to its request, which it answers; it goes on with the next.
fn listening() -> (Endpoint, Arc<Mutex<Vec<Vec<u8>>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let script = move |mut stream: TcpStream| {
        while let Some(head) = read_request(&mut stream) {
            let begins = head.split("GET /").next().unwrap_or_default().as_bytes().to_vec();
            heard.lock().expect("nobody has panicked").push(begins);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    };
    (Endpoint::scripted(Arc::new(script)), told)
}

const V1: &str = "proxy_protocol: { version: v1 }";
const V2: &str = "proxy_protocol: { version: v2, tlvs: [alpn, authority, ssl, unique_id, crc32c] }";

#[test]
fn nginx_and_haproxy_hear_who_the_client_is() {
    let theirs = free_address();
    let nginx = Nginx::start(
        &format!(
            "listen {theirs} proxy_protocol; location / {{ return 200 \"$proxy_protocol_addr:$proxy_protocol_port\"; }}"
        ),
        &[],
    );
    let server = haproxy(&[], |address, _here| {
        format!(
            "frontend web
  bind {address} accept-proxy
  mode http
  http-request return status 200 content-type text/plain lf-string %[src]:%[src_port]"
        )
    });
    for endpoint in [theirs, server.address()] {
        for version in [V1, V2] {
            for listener in ["", "protocol: tcp"] {
                let proxy = in_front_of(endpoint, listener, version);
                let address = proxy.address("web");
                let mut client = Connection::open(address);
                client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
                let told = client.response().expect("an answer").text();
                let own = client.stream().local_addr().expect("a socket").to_string();
                assert_eq!(told, own, "{endpoint} {version} {listener}");
            }
        }
    }
    drop(nginx);
}

#[test]
fn a_connection_that_is_for_one_client_carries_no_requests_of_another() {
    let (endpoint, told) = listening();
    let proxy = in_front_of(endpoint.address(), "", V1);
    for _ in 0..3 {
        assert_eq!(get(proxy.address("web"), "/").status, 200);
    }
    let mut client = Connection::open(proxy.address("web"));
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.response().expect("an answer").status, 200);
    }
    let own = client.stream().local_addr().expect("a socket").port();
    let told = told.lock().expect("nobody has panicked");
    let lines: Vec<String> = told.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(endpoint.connections(), 5);
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own} {}\r\n", proxy.address("web").port());
    assert_eq!(lines[3..], [expected.clone(), expected]);
}

#[test]
fn what_a_proxy_in_front_has_said_is_passed_on() {
    let (endpoint, told) = listening();
    let proxy = in_front_of(endpoint.address(), "proxy_protocol: { from: [127.0.0.1] }", V2);
    let list = [&[2, 0, 9][..], b"shop.test", &[5, 0, 2], b"id", &[1, 0, 2], b"h2"].concat();
    let rest = [&[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb][..], &list].concat();
    let header = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..], &[rest.len() as u8], &rest].concat();
    let mut client = Connection::open(proxy.address("web"));
    client.send([&header, &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..]].concat());
    assert_eq!(client.response().expect("an answer").status, 200);
    let told = String::from_utf8_lossy(&told.lock().expect("nobody has panicked")[0]).into_owned();
    for piece in ["shop.test", "\u{5}\0\u{2}id", "\u{1}\0\u{2}h2"] {
        assert!(told.contains(piece), "{piece:?} in {told:?}");
    }
    // Addresses go on as they came.
    let addresses = String::from_utf8_lossy(&rest[..12]).into_owned();
    assert!(told.contains(&addresses), "{told:?}");
}

#[test]
fn probes_say_that_they_are_our_own() {
    for (version, expected) in [(V1, &b"PROXY UNKNOWN\r\n"[..]), (V2, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = heard.clone();
        let endpoint = Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            let mut begins = vec![0; expected.len()];
            if stream.read_exact(&mut begins).is_ok() {
                sink.lock().expect("nobody has panicked").push(begins);
            }
            while read_request(&mut stream).is_some() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }));
        let probe = "health: { probe: { plugin: http, interval: 50ms } }";
        let proxy = in_front_of(endpoint.address(), "", &format!("{version}, {probe}"));
        wait_for("a probe that passes", || {
            let report = proxy.admin_json("GET", "/v1/clusters/app", None);
            let passed = report["endpoints"][0]["probes"][0]["passed"].as_bool();
            (passed == Some(true)).then_some(())
        });
        assert_eq!(heard.lock().expect("nobody has panicked")[0], expected);
    }
}

#[test]
fn the_header_comes_before_tls_of_ours() {
    let (certificate, key) = plimsoll_tests::self_signed("localhost");
    let theirs = free_address();
    let locations = format!(
        "listen {theirs} ssl proxy_protocol; ssl_certificate pair.pem; ssl_certificate_key pair.key;
         location / {{ return 200 \"$proxy_protocol_addr\"; }}"
    );
    let _nginx = Nginx::start(&locations, &[("pair.pem", &certificate), ("pair.key", &key)]);
    let proxy = in_front_of(theirs, "", &format!("{V2}, tls: {{ insecure_skip_verify: true }}"));
    let url = format!("http://{}/", proxy.address("web"));
    assert_eq!(curl(&["--interface", "127.0.0.2", &url]), "127.0.0.2");
}
