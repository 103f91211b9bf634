//! Clients and servers that nobody here wrote.

use std::process::Command;

use plimsoll_tests::{Authority, Dnsmasq, Endpoint, Issued, Proxy, Server, curl, free_address, python};

use super::{udp_proxy, wait_for_ends};
use crate::PLIMSOLL;

pub(super) fn dig(address: std::net::SocketAddr, question: &[&str]) -> String {
    let output = Command::new("dig")
        .args(["+tries=1", "+time=20", "-p", &address.port().to_string(), &format!("@{}", address.ip())])
        .args(question)
        .output()
        .expect("dig runs; `apt-get install bind9-dnsutils` brings it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn dig_asks_dnsmasq() {
    let records: String = (1..=60).map(|number| format!("10.0.0.{number} many.test\n")).collect();
    let server = Dnsmasq::start(&format!("192.0.2.7 a.test\n{records}"), "edns-packet-max=4096");
    let proxy = udp_proxy(&[server.address()], "udp: { responses: 1 }", "");
    let address = proxy.address("game");
    assert_eq!(dig(address, &["+short", "a.test"]), "192.0.2.7\n");
    assert_eq!(dig(address, &["+notcp", "+ignore", "+bufsize=4096", "+short", "many.test"]).lines().count(), 60);
    assert!(dig(address, &["missing.test"]).contains("NXDOMAIN"));
    wait_for_ends(&proxy, "answered", 3.0);
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
}

#[test]
fn dnsperf_loses_no_question() {
    let records: String = (1..=200).map(|number| format!("10.0.0.{number} n{number}.test\n")).collect();
    let server = Dnsmasq::start(&records, "cache-size=1000");
    let questions: String = (1..=200).map(|number| format!("n{number}.test A\n")).collect();
    for (terms, client) in [("udp: { responses: 1 }", "many"), ("udp: {}", "few")] {
        let proxy = udp_proxy(&[server.address()], terms, "");
        let file = proxy.directory().join("questions");
        std::fs::write(&file, &questions).expect("room for a file");
        let address = proxy.address("game");
        // From as many ports as it may have clients.
        let clients = if client == "many" { "200" } else { "4" };
        let said = Command::new("dnsperf")
            .args(["-s", &address.ip().to_string(), "-p", &address.port().to_string(), "-d"])
            .arg(&file)
            .args(["-n", "50", "-Q", "4000", "-c", clients, "-q", "100"])
            .output()
            .expect("dnsperf runs; `apt-get install dnsperf` brings it");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let told = |name: &str| {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {said}")).trim().to_owned()
        };
        assert_eq!(told("Queries completed:"), "10000 (100.00%)", "{said}");
        assert!(told("Response codes:").starts_with("NOERROR 10000"), "{said}");
        let counted = |direction: &str| {
            let name = format!("plimsoll_udp_datagrams_total{{listener=\"game\",direction=\"{direction}\"}}");
            proxy.metric(&name)
        };
        assert_eq!((counted("in"), counted("out")), (10_000.0, 10_000.0), "{said}");
    }
}

/// Answers any question with the address and port of who asks.
const WHO_ASKS: &str = "function preresolve(dq)
  dq:addAnswer(pdns.TXT, '\"' .. dq.remoteaddr:toStringWithPort() .. '\"')
  return true
end";

#[test]
fn powerdns_hears_who_asks() {
    let mut server = Server::prepared("powerdns");
    std::fs::write(server.directory().join("who.lua"), WHO_ASKS).expect("files can be written");
    let address = format!("--local-address={}", server.address().ip());
    let port = format!("--local-port={}", server.address().port());
    server.start(
        "pdns_recursor",
        &[
            "--daemon=no",
            "--write-pid=no",
            "--disable-syslog",
            "--disable-packetcache",
            "--threads=1",
            "--config-dir=.",
            "--socket-dir=.",
            "--lua-dns-script=who.lua",
            "--proxy-protocol-from=127.0.0.1",
            &address,
            &port,
        ],
    );
    let told = "proxy_protocol: { version: v2, tlvs: [ crc32c ] }";
    let proxy = udp_proxy(&[server.address()], "udp: { responses: 1 }", told);
    let asks = |port: u16| {
        let from = format!("127.0.0.1#{port}");
        dig(proxy.address("game"), &["+short", "-b", &from, "who.test", "TXT"])
    };
    for _ in 0..3 {
        let port = free_address().port();
        assert_eq!(asks(port), format!("\"127.0.0.1:{port}\"\n"));
    }
}

/// QUIC by addresses, as any other UDP: what the proxy sends and gets together is taken apart and put together on the way.
#[test]
fn http3_goes_through_to_a_listener_that_speaks_it() {
    let authority = Authority::new("root");
    let Issued { certificate, key } = authority.issue("localhost", "DNS:localhost,IP:127.0.0.1");
    let origin = Endpoint::scripted(std::sync::Arc::new(|mut stream| {
        use std::io::{Read, Write};
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length: usize =
            text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_ok() {
            let body = if length == 0 { b"hello".to_vec() } else { body };
            // The client may have what it wants.
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&body);
        }
    }));
    let (certificate, key) = (certificate.display(), key.display());
    let inner = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners:
  - name: web
    bind: 127.0.0.1:0
    cluster: app
    http3: true
    tls: {{ certificates: [ {{ cert_file: \"{certificate}\", key_file: \"{key}\" }} ] }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            origin.address()
        ),
    );
    let outer = udp_proxy(&[inner.address("web")], "", "");
    let url = format!("https://localhost:{}/", outer.address("game").port());
    let mut script = python("http3/by_curl.py");
    let said = script.arg(&url).arg(authority.certificate()).output().expect("Python runs");
    let said = (String::from_utf8_lossy(&said.stdout).into_owned(), String::from_utf8_lossy(&said.stderr).into_owned());
    assert_eq!(said.0, "HTTP/3 200 hello\nHTTP/3 200 1000000\n", "{}", said.1);
    assert!(outer.metric("plimsoll_downstream_bytes_total{listener=\"game\",direction=\"in\"}") > 1_000_000.0);
    assert!(outer.metric("plimsoll_downstream_bytes_total{listener=\"game\",direction=\"out\"}") > 1_000_000.0);
    // Over TCP there is nobody.
    assert!(curl(&["-s", "-o", "/dev/null", "-w", "%{http_code}", &url]).contains("000"));
}
