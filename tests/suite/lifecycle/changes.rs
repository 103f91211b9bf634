//! Fifty reloads and fifty uploads of a plugin, while whatever the proxy carries is under way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use plimsoll_tests::{
    Authority, Connection, Endpoint, Http2, Proxy, UdpClient, UdpEndpoint, guest, python, read_request, wait_for,
};
use serde_json::{Value, json};

use crate::PLIMSOLL;
use crate::http3::{Client, agreed};

const CHANGES: usize = 50;
/// By how much every client has to get on between two changes.
const PROGRESS: usize = 1;
/// Of each answer, in bytes.
const BODY: usize = 50_000;
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Gives back what it gets, of a WebSocket or of TCP; answers else with a body.
fn application(mut stream: TcpStream) {
    while let Some(head) = read_request(&mut stream) {
        if let Some(key) = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")) {
            if stream.write_all(agreed(key).as_bytes()).and_then(|()| stream.write_all(b"begun")).is_ok() {
                give_back(stream);
            }
            return;
        }
        let body = vec![b'x'; BODY];
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}

fn give_back(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
}

/// A client of HTTP/3 with a WebSocket and downloads on one connection.
fn steady(proxy: &Proxy, authority: &Authority) -> Client {
    let mut command = python("http3/client.py");
    command.arg(proxy.address("secure").port().to_string()).arg(authority.certificate()).arg("steady");
    let mut client = Client::start(command);
    assert_eq!(client.line()["begun"], json!(true));
    client
}

/// Sends numbers and gets them back, on what it has begun with, until it is enough.
fn until(enough: &AtomicBool, count: &AtomicUsize, mut echo: impl FnMut(&[u8; 4]) -> Vec<u8>) {
    while !enough.load(Ordering::Relaxed) {
        let number = (count.load(Ordering::Relaxed) as u32).to_be_bytes();
        assert_eq!(echo(&number), number);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whatever_is_under_way_lives_through_fifty_reloads_and_fifty_uploads() {
    let authority = Authority::new("root");
    let issued = authority.issue("localhost", "DNS:localhost,IP:127.0.0.1");
    let (app, raw, game) =
        (Endpoint::scripted(Arc::new(application)), Endpoint::scripted(Arc::new(give_back)), UdpEndpoint::echo());
    let config = |streams: usize| {
        format!(
            "workers: 2
listeners:
  - {{ name: web, bind: \"127.0.0.1:0\", cluster: app, limits: {{ concurrent_streams: {streams} }} }}
  - {{ name: secure, bind: \"127.0.0.1:0\", cluster: app, http3: true, limits: {{ concurrent_streams: {streams} }}, tls: {{ certificates: [ {{ cert_file: \"{}\", key_file: \"{}\" }} ] }} }}
  - {{ name: raw, bind: \"127.0.0.1:0\", protocol: tcp, cluster: raw, limits: {{ connections: {streams} }} }}
  - {{ name: game, bind: \"127.0.0.1:0\", protocol: udp, cluster: game, limits: {{ connections: {streams} }} }}
clusters:
  - {{ name: app, balancer: {{ plugin: round-robin }}, max_connections: {streams}, endpoints: [ \"{}\" ] }}
  - {{ name: raw, balancer: {{ plugin: round-robin }}, max_connections: {streams}, endpoints: [ \"{}\" ] }}
  - {{ name: game, balancer: {{ plugin: round-robin }}, max_connections: {streams}, endpoints: [ \"{}\" ] }}",
            issued.certificate.display(),
            issued.key.display(),
            app.address(),
            raw.address(),
            game.address()
        )
    };
    let proxy = Proxy::start(PLIMSOLL, &config(100));
    let (web, tcp, udp) = (proxy.address("web"), proxy.address("raw"), proxy.address("game"));
    let mut over_http3 = steady(&proxy, &authority);
    let enough = AtomicBool::new(false);
    let counts: [AtomicUsize; 5] = Default::default();
    std::thread::scope(|scope| {
        let clients = [
            scope.spawn(|| {
                let mut socket = Connection::open(web);
                socket.send(UPGRADE);
                assert_eq!(socket.response_head().map(|head| head.status), Some(101));
                assert_eq!(socket.read(5), b"begun");
                until(&enough, &counts[0], |number| {
                    socket.send(number);
                    socket.read(4)
                });
            }),
            scope.spawn(|| {
                let client = Http2::open(web);
                let mut socket = client.connect(&format!("http://{web}/chat"), "websocket");
                assert_eq!(socket.read(5), b"begun");
                while !enough.load(Ordering::Relaxed) {
                    socket.send(b"echo", false);
                    assert_eq!(socket.read(4), b"echo");
                    let answer = client.get(&format!("http://{web}/large")).expect("an answer on the same connection");
                    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, BODY));
                    counts[1].fetch_add(1, Ordering::Relaxed);
                }
            }),
            scope.spawn(|| {
                let mut client = Connection::open(tcp);
                until(&enough, &counts[2], |number| {
                    client.send(number);
                    client.read(4)
                });
            }),
            scope.spawn(|| {
                let client = UdpClient::of(udp);
                until(&enough, &counts[3], |number| {
                    client.send(number);
                    client.receive()
                });
            }),
            scope.spawn(|| {
                let mut client = Connection::open(web);
                while !enough.load(Ordering::Relaxed) {
                    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
                    let answer = client.response().expect("an answer on the same connection");
                    assert_eq!((answer.status, answer.text().len()), (200, BODY));
                    counts[4].fetch_add(1, Ordering::Relaxed);
                }
            }),
        ];
        let counted = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let progress = || {
            let before = counted();
            wait_for("all to get on", || {
                assert!(clients.iter().all(|client| !client.is_finished()), "one has lost what it had");
                counted().iter().zip(before).all(|(now, before)| *now >= before + PROGRESS).then_some(())
            });
        };
        for round in 0..CHANGES {
            progress();
            let config = config(100 + round % 2);
            proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
            progress();
            let component = guest(if round % 2 == 0 { "first" } else { "last" });
            proxy.admin_json("PUT", "/v1/plugins/round-robin?conformance=off", Some(component));
        }
        progress();
        enough.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("nothing was lost"));
    });
    over_http3.go_on();
    let said = over_http3.line();
    let count = |what: &str| said[what].as_u64().expect("a number");
    assert!(count("downloads") > 20 && count("echoes") > 20 && said["termination"] == Value::Null, "{said}");
    assert_eq!(proxy.metric("plimsoll_requests_total{cluster=\"app\",class=\"5xx\"}"), 0.0);
    assert_eq!((raw.connections(), game.peers().iter().collect::<std::collections::HashSet<_>>().len()), (1, 1));
}
