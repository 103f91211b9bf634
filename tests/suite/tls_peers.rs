//! nginx and HAProxy at the other end of TLS, in front of us and behind us. (nginx behind us is in `upstream_tls`.)

use std::net::SocketAddr;

use plimsoll_tests::{Authority, Endpoint, Nginx, Proxy, Server, get, haproxy, wait_for};
use serde_json::{Value, json};

use crate::PLIMSOLL;

/// A proxy with TLS in front of an endpoint, for those who trust the authority.
fn ending_tls(authority: &Authority, endpoint: &Endpoint) -> Proxy {
    let issued = authority.issue("server", "DNS:shop.test");
    let (certificate, key) = (issued.certificate.display(), issued.key.display());
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json }}
listeners:
  - name: web
    bind: 127.0.0.1:0
    cluster: app
    tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

fn handshakes(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("plimsoll_tls_handshakes_total{{listener=\"web\",result=\"{result}\"}}"))
}

/// Asks who is in front of us, and finds in our log that it has come by TLS, with the name, in this version of HTTP.
fn comes_by_tls(proxy: &Proxy, at: SocketAddr, version: &str) {
    let before = proxy.stdout().lines().count();
    for number in 0..6 {
        assert_eq!(get(at, &format!("/{number}")).text(), "one");
    }
    let lines = wait_for("six lines in the log", || {
        let lines: Vec<String> = proxy.stdout().lines().skip(before).map(str::to_owned).collect();
        (lines.len() == 6).then_some(lines)
    });
    for line in lines {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&line["version"], &line["server_name"]), (&json!(version), &json!("shop.test")), "{line}");
    }
    assert!(handshakes(proxy, "full") >= 1.0);
    assert_eq!(handshakes(proxy, "failed"), 0.0);
}

#[test]
fn nginx_in_front_verifies_us_and_resumes() {
    let (authority, endpoint) = (Authority::new("root"), Endpoint::named("one"));
    let proxy = ending_tls(&authority, &endpoint);
    let nginx = Nginx::start(
        &format!(
            "location / {{ proxy_pass https://{}; proxy_http_version 1.1; proxy_ssl_verify on; proxy_ssl_server_name on;
               proxy_ssl_name shop.test; proxy_ssl_trusted_certificate {}; proxy_set_header Host shop.test; }}",
            proxy.address("web"),
            authority.certificate().display()
        ),
        &[],
    );
    comes_by_tls(&proxy, nginx.address(), "HTTP/1.1");
    // Each request has a connection of its own.
    assert!(handshakes(&proxy, "resumed") >= 1.0);
}

#[test]
fn haproxy_in_front_verifies_us_and_speaks_either_version() {
    let (authority, endpoint) = (Authority::new("root"), Endpoint::named("one"));
    let proxy = ending_tls(&authority, &endpoint);
    for (alpn, version) in [("h2", "HTTP/2"), ("http/1.1", "HTTP/1.1")] {
        let server = in_front(&authority, proxy.address("web"), alpn);
        comes_by_tls(&proxy, server.address(), version);
    }
}

fn in_front(authority: &Authority, to: SocketAddr, alpn: &str) -> Server {
    let trusted = authority.certificate();
    haproxy(&[], |address, _here| {
        format!(
            "frontend clear
  bind {address}
  mode http
  http-request set-header Host shop.test
  default_backend us
backend us
  mode http
  server us {to} ssl verify required ca-file {} sni str(shop.test) verifyhost shop.test alpn {alpn}",
            trusted.display()
        )
    })
}

#[test]
fn haproxy_behind_us_is_verified_and_speaks_either_version() {
    let authority = Authority::new("root");
    let issued = authority.issue("server", "DNS:shop.test");
    let both =
        [std::fs::read(&issued.certificate), std::fs::read(&issued.key)].map(|pem| pem.expect("a file")).concat();
    let server = haproxy(&[("both.pem", &both)], |address, here| {
        format!(
            "frontend web
  bind {address} ssl crt {here}/both.pem alpn h2,http/1.1
  mode http
  http-request return status 200 content-type text/plain lf-string \"%HV %[ssl_fc_sni] %[path]\""
        )
    });
    for (protocol, version) in [("auto", "HTTP/2.0"), ("http1", "HTTP/1.1")] {
        let proxy = Proxy::start(
            PLIMSOLL,
            &format!(
                "listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    protocol: {protocol}
    tls: {{ ca_file: \"{}\", server_name: shop.test }}
    endpoints: [ \"{}\" ]",
                authority.certificate().display(),
                server.address()
            ),
        );
        for number in 0..3 {
            assert_eq!(
                get(proxy.address("web"), &format!("/{number}")).text(),
                format!("{version} shop.test /{number}")
            );
        }
        let counted = proxy.metric("plimsoll_upstream_tls_handshakes_total{cluster=\"app\",result=\"full\"}");
        assert!(counted >= 1.0);
    }
}
