//! Other protocols on the connection of a request: WebSocket by a client and a server that nobody here wrote, and scripted
//! sides for what those do not do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use plimsoll_tests::{
    Connection, Endpoint, Frame, Http2, Http2Endpoint, Process, Proxy, STATUS_200, Signal, python, read_request,
    self_signed, wait_for,
};
use serde_json::Value;
use sha1::{Digest, Sha1};

use crate::PLIMSOLL;

const ASKING: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                      sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// A setting (RFC 8441 section 3).
const ENABLE_CONNECT_PROTOCOL: u16 = 8;
const AGREEING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n";

fn in_front_of(endpoint: SocketAddr, listener: &str, cluster: &str) -> Proxy {
    Proxy::start(PLIMSOLL, &config(endpoint, listener, cluster))
}

fn config(endpoint: SocketAddr, listener: &str, cluster: &str) -> String {
    format!(
        "workers: 1
access_log: {{ format: json }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ {{ address: \"{endpoint}\" }} ], {cluster} }} ]"
    )
}

/// The proof that belongs to the key of a request.
fn proof(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
    let proof = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    BASE64_STANDARD.encode(proof)
}

/// Agrees to the upgrade, and gives back what it gets until its client ends; then says so, and ends.
fn echoing() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let Some(head) = read_request(&mut stream) else { return };
        let proof = proof(&head);
        let _ = write!(stream, "{AGREEING}sec-websocket-accept: {proof}\r\n\r\nhello ");
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            let _ = stream.write_all(&bytes[..read]);
        }
        let _ = stream.write_all(b" goodbye");
    }))
}

/// A client that has asked, and the answer's head.
fn asked(proxy: &Proxy, fields: &str) -> (Connection, plimsoll_tests::Response) {
    let mut client = Connection::open(proxy.address("web"));
    client.send(format!("GET /chat HTTP/1.1\r\nhost: x\r\n{fields}\r\n"));
    let head = client.response_head().expect("an answer");
    (client, head)
}

fn log_line(proxy: &Proxy) -> Value {
    let line = wait_for("a line in the access log", || proxy.stdout().lines().next().map(str::to_owned));
    serde_json::from_str(&line).expect("JSON")
}

#[test]
fn websocket_clients_talk_to_a_websocket_server_in_the_clear_and_over_tls() {
    let server = Process::python("websocket/server.py");
    let (certificate, key) = self_signed("localhost");
    let directory = std::env::temp_dir().join(format!("plimsoll-websocket-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (cert_file, key_file) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&cert_file, certificate).expect("room for a file");
    std::fs::write(&key_file, key).expect("room for a file");
    let tls = format!(
        "tls: {{ certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ] }}",
        cert_file.display(),
        key_file.display()
    );
    for (listener, scheme) in [("", "ws"), (tls.as_str(), "wss")] {
        let proxy = in_front_of(server.address(), listener, "");
        let port = proxy.address("web").port();
        let mut by_websockets = python("websocket/client.py");
        by_websockets.arg(format!("{scheme}://localhost:{port}/chat"));
        let mut by_wsproto = python("websocket/wsproto_client.py");
        by_wsproto.args(["localhost", &port.to_string()]);
        for mut client in [by_websockets, by_wsproto] {
            if scheme == "wss" {
                client.arg(&cert_file);
            }
            let output = client.output().expect("Python runs");
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said.trim(), "4001 as you wish", "{}", String::from_utf8_lossy(&output.stderr));
        }
        let line = log_line(&proxy);
        assert_eq!((&line["status"], &line["flag"]), (&101.into(), &Value::Null), "{line}");
        for bytes in ["request_bytes", "response_bytes"] {
            assert!((1_200_000..1_300_000).contains(&line[bytes].as_u64().expect("a number")), "{line}");
        }
    }
    let _ = std::fs::remove_dir_all(directory);
}

#[test]
fn each_side_may_end_first_and_the_other_is_told() {
    let endpoint = echoing();
    let proxy = in_front_of(endpoint.address(), "", "");
    let (mut client, head) = asked(&proxy, ASKING);
    assert_eq!(
        (head.status, head.header("upgrade"), head.header("connection")),
        (101, Some("websocket"), Some("upgrade"))
    );
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client.send("there");
    assert_eq!(client.read(11), b"hello there");
    client.finish();
    assert_eq!(client.read_to_end(), b" goodbye");
    assert_eq!(log_line(&proxy)["flag"], Value::Null);

    let brief = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        read_request(&mut stream);
        let _ = write!(stream, "{AGREEING}\r\nthat is all");
        let _ = stream.shutdown(Shutdown::Write);
        // Until the proxy has closed.
        let _ = stream.read(&mut [0]);
    }));
    let proxy = in_front_of(brief.address(), "", "");
    let (mut client, _) = asked(&proxy, ASKING);
    assert_eq!(client.read_to_end(), b"that is all");
}

/// What agrees and ends at once has all come before its client has heard of it.
#[test]
fn an_end_that_comes_with_the_agreement_changes_nothing() {
    let over_http1 = |last: &'static str| {
        Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            let Some(head) = read_request(&mut stream) else { return };
            let _ = write!(stream, "{AGREEING}sec-websocket-accept: {}\r\n\r\n{last}", proof(&head));
        }))
    };
    let over_http2 = |last: &'static str| {
        Endpoint::scripted(Arc::new(move |stream: TcpStream| {
            let Some(mut connection) = Http2Endpoint::accept(stream, &[(ENABLE_CONNECT_PROTOCOL, 1)]) else { return };
            while let Some(frame) = connection.next_frame() {
                if frame.kind == Frame::HEADERS {
                    connection.send(Frame::HEADERS, Frame::END_HEADERS, frame.stream, STATUS_200);
                    connection.send(Frame::DATA, Frame::END_STREAM, frame.stream, last.as_bytes());
                }
            }
        }))
    };
    for last in ["", "goodbye"] {
        for (endpoint, cluster) in [(over_http1(last), ""), (over_http2(last), "protocol: http2")] {
            let proxy = in_front_of(endpoint.address(), "", cluster);
            for _ in 0..20 {
                let (mut client, head) = asked(&proxy, ASKING);
                assert_eq!((head.status, head.header("content-length")), (101, None), "{cluster}");
                assert_eq!(client.read_to_end(), last.as_bytes(), "{cluster}");
                let http2 = Http2::open(proxy.address("web"));
                let mut tunnel = http2.connect(&format!("http://{}/chat", proxy.address("web")), "websocket");
                assert_eq!((tunnel.status.as_u16(), tunnel.read(100)), (200, last.as_bytes().to_vec()), "{cluster}");
            }
        }
    }
}

#[test]
fn rfc8441_a_websocket_over_http2_reaches_an_endpoint_of_http1() {
    let endpoint = echoing();
    let proxy = in_front_of(endpoint.address(), "", "");
    let client = Http2::open(proxy.address("web"));
    let mut tunnel = client.connect(&format!("http://{}/chat", proxy.address("web")), "websocket");
    assert_eq!((tunnel.status.as_u16(), tunnel.headers.get("sec-websocket-accept")), (200, None));
    tunnel.send(b"there", false);
    assert_eq!(tunnel.read(11), b"hello there");
    let beside = client.connect(&format!("http://{}/chat", proxy.address("web")), "connect-udp");
    assert_eq!(beside.status.as_u16(), 501, "RFC 9220 section 3");
    tunnel.send(b"!", true);
    assert_eq!(tunnel.read(100), b"! goodbye");
}

#[test]
fn over_http2_an_endpoint_that_ignores_the_upgrade_has_not_agreed() {
    let endpoint = Endpoint::named("a page");
    let proxy = in_front_of(endpoint.address(), "", "");
    let client = Http2::open(proxy.address("web"));
    let tunnel = client.connect(&format!("http://{}/chat", proxy.address("web")), "websocket");
    assert_eq!(tunnel.status.as_u16(), 502);
    let (_, head) = asked(&proxy, ASKING);
    assert_eq!(head.status, 200, "over HTTP/1.1 the status tells");
}

#[test]
fn rfc8441_an_endpoint_of_http2_is_asked_by_connect() {
    let endpoint = Endpoint::scripted(Arc::new(|stream: TcpStream| {
        let Some(mut connection) = Http2Endpoint::accept(stream, &[(ENABLE_CONNECT_PROTOCOL, 1)]) else { return };
        while let Some(frame) = connection.next_frame() {
            match frame.kind {
                Frame::HEADERS => {
                    let block = String::from_utf8_lossy(&frame.payload).into_owned();
                    assert!(!frame.ends_stream() && !block.contains("dGhlIHNhbXBs"), "{block:?}");
                    connection.send(Frame::HEADERS, Frame::END_HEADERS, frame.stream, STATUS_200);
                }
                Frame::DATA => {
                    connection.send(Frame::DATA, frame.flags & Frame::END_STREAM, frame.stream, &frame.payload)
                }
                _ => {}
            }
        }
    }));
    let proxy = in_front_of(endpoint.address(), "", "protocol: http2");
    let (mut client, head) = asked(&proxy, ASKING);
    assert_eq!((head.status, head.header("upgrade")), (101, Some("websocket")));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client.send("over and out");
    assert_eq!(client.read(12), b"over and out");
    client.finish();
    assert_eq!(client.read_to_end(), b"");

    let http2 = Http2::open(proxy.address("web"));
    let mut tunnel = http2.connect(&format!("http://{}/chat", proxy.address("web")), "websocket");
    assert_eq!(tunnel.status.as_u16(), 200);
    tunnel.send(b"both sides", true);
    assert_eq!(tunnel.read(100), b"both sides");
}

#[test]
fn an_endpoint_of_http2_that_takes_no_extended_connect_is_a_bad_gateway() {
    let endpoint = Endpoint::scripted(Arc::new(|stream: TcpStream| {
        if let Some(mut connection) = Http2Endpoint::accept(stream, &[]) {
            while connection.next_frame().is_some() {}
        }
    }));
    let proxy = in_front_of(endpoint.address(), "", "protocol: http2");
    for _ in 0..10 {
        assert_eq!(asked(&proxy, ASKING).1.status, 502);
    }
    // Any client can ask: it must not take the endpoint out.
    for outcome in ["reset", "connect_failure", "server_error"] {
        let name = format!("plimsoll_attempts_total{{cluster=\"app\",outcome=\"{outcome}\"}}");
        assert_eq!(proxy.metric(&name), 0.0, "{outcome}");
    }
}

#[test]
fn what_is_not_allowed_is_not_asked_for() {
    let endpoint = Endpoint::named("a page");
    let proxy = in_front_of(endpoint.address(), "", "");
    let h2c = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    let (mut client, head) = asked(&proxy, h2c);
    assert_eq!((head.status, client.read(6)), (200, b"a page".to_vec()));
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(client.response().map(|response| response.status), Some(200), "the connection goes on");
    let proxy_without = in_front_of(endpoint.address(), "upgrades: []", "");
    assert_eq!(asked(&proxy_without, ASKING).1.status, 200);
    for head in endpoint.requests() {
        assert!(!head.to_ascii_lowercase().contains("\r\nupgrade:"), "{head}");
    }
}

#[test]
fn a_switch_that_was_not_asked_for_is_a_bad_gateway() {
    for switch in
        ["HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"]
    {
        let endpoint = Endpoint::answering(switch);
        let proxy = in_front_of(endpoint.address(), "", "");
        assert_eq!(asked(&proxy, ASKING).1.status, 502, "{switch}");
        assert_eq!(asked(&proxy, "").1.status, 502, "{switch}");
    }
}

#[test]
fn rfc9110_15_5_22_an_answer_says_which_protocol_is_required() {
    let endpoint = Endpoint::answering("HTTP/1.1 426 Upgrade Required\r\nupgrade: foo/2\r\ncontent-length: 0\r\n\r\n");
    let proxy = in_front_of(endpoint.address(), "", "");
    let (_, head) = asked(&proxy, "");
    assert_eq!((head.status, head.header("upgrade"), head.header("connection")), (426, Some("foo/2"), Some("upgrade")));
    let over_http2 =
        Http2::open(proxy.address("web")).get(&format!("http://{}/", proxy.address("web"))).expect("an answer");
    assert_eq!((over_http2.status.as_u16(), over_http2.headers.get("upgrade")), (426, None));
}

#[test]
fn silence_ends_an_upgraded_connection_after_a_time_of_its_own() {
    let endpoint = echoing();
    // Neither of the timeouts for bodies counts.
    let proxy = in_front_of(
        endpoint.address(),
        "timeouts: { idle: 600ms, body_idle: 100ms }",
        "timeouts: { body_idle: 100ms, first_byte: 300ms }",
    );
    let (mut client, _) = asked(&proxy, ASKING);
    assert_eq!(client.read(6), b"hello ");
    let begun = Instant::now();
    assert_eq!(client.read_to_end(), b"");
    assert!(begun.elapsed().as_millis() >= 600, "{:?}", begun.elapsed());
    let line = log_line(&proxy);
    assert_eq!((&line["status"], &line["flag"]), (&101.into(), &"IT".into()), "{line}");

    // One that hears and says nothing, whose client does not fall silent.
    let listening = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        read_request(&mut stream);
        let _ = write!(stream, "{AGREEING}\r\n");
        let mut heard = [0; 4];
        while stream.read_exact(&mut heard).is_ok() && heard != *b"last" {}
        let _ = stream.write_all(b"heard");
    }));
    let proxy = in_front_of(listening.address(), "timeouts: { idle: 600ms }", "");
    let (mut client, _) = asked(&proxy, ASKING);
    let begun = Instant::now();
    wait_for("more than the time of silence", || {
        client.send("more");
        (begun.elapsed().as_millis() > 1500).then_some(())
    });
    client.send("last");
    assert_eq!(client.read(5), b"heard");
}

#[test]
fn upgraded_connections_live_through_a_reload_and_a_drain() {
    let endpoint = echoing();
    let mut proxy = in_front_of(endpoint.address(), "", "");
    let (mut client, _) = asked(&proxy, ASKING);
    assert_eq!(client.read(6), b"hello ");
    let other = Endpoint::named("another");
    proxy.write_config(&format!("{}\nshutdown: {{ grace: 20s }}", config(other.address(), "", "")));
    proxy.signal(Signal::Hup);
    wait_for("the reload", || (asked(&proxy, "").1.status == 200).then_some(()));
    client.send("still");
    assert_eq!(client.read(5), b"still");
    proxy.signal(Signal::Term);
    wait_for("the listener to close", || TcpStream::connect(proxy.address("web")).is_err().then_some(()));
    client.send("there");
    assert_eq!(client.read(5), b"there");
    client.finish();
    assert_eq!(client.read_to_end(), b" goodbye");
    assert!(proxy.wait_for_end().success());
}

#[test]
fn an_endpoint_is_told_when_its_client_has_gone() {
    let endpoint = echoing();
    let proxy = in_front_of(endpoint.address(), "", "");
    let (client, _) = asked(&proxy, ASKING);
    drop(client);
    wait_for("the connection to end", || {
        let open = proxy.metric("plimsoll_connections_open{listener=\"web\"");
        (open == 0.0).then_some(())
    });
}
