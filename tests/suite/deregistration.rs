//! What is under way at an endpoint goes on for `deregistration_delay` after the endpoint has left service, and is ended then.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_tests::{
    Behaviour, Connection, Endpoint, Frame, Http2, Http2Endpoint, Origin, Proxy, STATUS_200, UdpClient, UdpEndpoint,
    read_request, request, wait_for,
};
use serde_json::Value;

use crate::PLIMSOLL;

const DELAY: Duration = Duration::from_millis(700);

/// Endpoints have the ids `e0`, `e1` and so on.
fn config(protocol: &str, endpoints: &[SocketAddr], cluster: &str) -> String {
    let endpoints: Vec<String> = (0..)
        .zip(endpoints)
        .map(|(id, address): (usize, _)| format!("{{ id: e{id}, address: \"{address}\" }}"))
        .collect();
    format!(
        "workers: 1
admin: {{ bind: \"127.0.0.1:0\" }}
access_log: {{ format: json }}
listeners: [ {{ name: in, bind: 127.0.0.1:0, protocol: {protocol}, cluster: app }} ]
clusters:
  - {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {} ], deregistration_delay: 700ms, {cluster} }}",
        endpoints.join(", ")
    )
}

fn in_front_of(protocol: &str, endpoints: &[SocketAddr], cluster: &str) -> Proxy {
    Proxy::start(PLIMSOLL, &config(protocol, endpoints, cluster))
}

fn change(proxy: &Proxy, endpoint: &str, what: &str) {
    proxy.admin_json("PATCH", &format!("/v1/clusters/app/endpoints/{endpoint}"), Some(what.as_bytes()));
}

fn drain(proxy: &Proxy, endpoint: &str) {
    change(proxy, endpoint, "{\"drain\": true}");
}

/// Says its name, and gives back what it gets, for as long as it lasts.
fn echo(name: &'static str) -> Endpoint {
    Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
        let _ = stream.write_all(name.as_bytes());
        let mut bytes = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            let _ = stream.write_all(&bytes[..read]);
        }
    }))
}

/// Two endpoints with their names.
fn two() -> [Endpoint; 2] {
    ["0", "1"].map(echo)
}

fn addresses(endpoints: &[Endpoint]) -> Vec<SocketAddr> {
    endpoints.iter().map(Endpoint::address).collect()
}

/// A TCP connection to each of two endpoints, on which both sides have spoken.
fn connected(proxy: &Proxy) -> [Connection; 2] {
    let mut named = [(); 2].map(|()| {
        let mut client = Connection::open(proxy.address("in"));
        (client.read(1), client)
    });
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut clients = named.map(|(_, client)| client);
    assert!(clients.iter_mut().all(echoes));
    clients
}

fn echoes(client: &mut Connection) -> bool {
    client.send("?");
    client.read(1) == b"?"
}

fn ended(proxy: &Proxy, end: &str) -> f64 {
    proxy.metric(&format!("plimsoll_tcp_connections_total{{cluster=\"app\",end=\"{end}\"}}"))
}

/// Waits until a connection is closed, which has had its time.
fn is_closed_in_time(client: &mut Connection, since: Instant) {
    assert_eq!(client.read_to_end(), b"");
    assert!(since.elapsed() >= DELAY, "{:?}", since.elapsed());
}

fn log_lines(proxy: &Proxy, count: usize) -> Vec<Value> {
    let lines = wait_for("lines in the access log", || {
        let lines: Vec<String> = proxy.stdout().lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    });
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn tcp_connections_to_a_drained_endpoint_go_on_for_the_delay_and_are_closed() {
    let endpoints = two();
    let proxy = in_front_of("tcp", &addresses(&endpoints), "");
    let mut clients = [connected(&proxy), connected(&proxy)].into_iter().flatten().collect::<Vec<_>>();
    let since = Instant::now();
    drain(&proxy, "e0");
    assert!(clients.iter_mut().all(echoes), "they go on");
    wait_for("those of one endpoint to be closed", || (ended(&proxy, "deregistered") == 2.0).then_some(()));
    assert!(since.elapsed() >= DELAY);
    let lines = log_lines(&proxy, 2);
    assert!(lines.iter().all(|line| line["endpoint"] == "e0" && line["flag"] == "ED"), "{lines:?}");
    let alive: usize =
        clients.iter_mut().map(|client| usize::from(client.try_send("?") && client.read(1) == b"?")).sum();
    assert_eq!(alive, 2);
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"ED\"}"), 0.0, "they are no requests");
}

#[test]
fn removed_endpoints_lose_their_connections_whoever_has_removed_them() {
    let endpoints = two();
    let proxy = in_front_of("tcp", &addresses(&endpoints), "");
    let [mut first, mut second] = connected(&proxy);
    let since = Instant::now();
    proxy.admin_json("DELETE", "/v1/clusters/app/endpoints/e0", None);
    wait_for("one to be closed", || (ended(&proxy, "deregistered") == 1.0).then_some(()));
    assert!(since.elapsed() >= DELAY);
    // The last cluster of that name goes, too.
    let since = Instant::now();
    let other_name = config("tcp", &addresses(&endpoints), "").replace("app", "other");
    proxy.admin_json("PUT", "/v1/config", Some(other_name.as_bytes()));
    is_closed_in_time(&mut first, since - DELAY);
    is_closed_in_time(&mut second, since);
}

#[test]
fn a_reload_that_takes_an_endpoint_ends_its_connections_after_the_delay() {
    let endpoints = two();
    let proxy = in_front_of("tcp", &addresses(&endpoints), "");
    let [mut first, mut second] = connected(&proxy);
    let since = Instant::now();
    proxy.admin_json("PUT", "/v1/config", Some(config("tcp", &addresses(&endpoints[..1]), "").as_bytes()));
    assert!(echoes(&mut first) && echoes(&mut second));
    is_closed_in_time(&mut second, since);
    assert!(echoes(&mut first));
}

#[test]
fn an_endpoint_that_comes_back_in_time_keeps_its_connections() {
    let endpoints = two();
    let proxy = in_front_of("tcp", &addresses(&endpoints), "");
    let [mut first, mut second] = connected(&proxy);
    drain(&proxy, "e0");
    change(&proxy, "e0", "{\"drain\": false}");
    let since = Instant::now();
    // Its time is over after that of the other.
    drain(&proxy, "e1");
    is_closed_in_time(&mut second, since);
    assert!(echoes(&mut first));
}

#[test]
fn an_endpoint_that_is_found_unhealthy_loses_its_connections_after_the_delay() {
    // The probes are for another address than the connections.
    let (endpoints, probed) = (two(), Origin::new());
    let probe = format!(
        "health: {{ probe: {{ plugin: http, interval: 50ms, port: {} }}, evaluator: {{ plugin: thresholds, config: {{ fall: 2 }} }} }}",
        probed.address().port()
    );
    let proxy = in_front_of("tcp", &addresses(&endpoints), &probe);
    let clients = connected(&proxy);
    let since = Instant::now();
    probed.behave(Behaviour::Status(503));
    clients.into_iter().for_each(|mut client| is_closed_in_time(&mut client, since));
    wait_for("both to be counted", || (ended(&proxy, "deregistered") == 2.0).then_some(()));
}

/// Sends the head of an answer and a first piece of it, and no more.
fn never_done() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        while read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun");
        }
    }))
}

#[test]
fn answers_that_are_being_sent_break_off_after_the_delay() {
    let one = never_done();
    let proxy = in_front_of("http", &[one.address()], "");
    let mut client = Connection::open(proxy.address("in"));
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(client.response_head().map(|head| head.status), Some(200));
    assert_eq!(client.read(5), b"begun");
    let since = Instant::now();
    drain(&proxy, "e0");
    is_closed_in_time(&mut client, since);
    let lines = log_lines(&proxy, 1);
    assert_eq!((&lines[0]["status"], &lines[0]["flag"]), (&200.into(), &"ED".into()));
    assert_eq!(proxy.metric("plimsoll_request_flags_total{cluster=\"app\",flag=\"ED\"}"), 1.0);
    let failures = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0]["failures"].clone();
    assert_eq!(failures, 0, "that is no fault of the endpoint");
}

#[test]
fn an_answer_that_keeps_coming_breaks_off_as_well() {
    let one = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 1024]).is_ok() {
                std::thread::yield_now();
            }
        }
    }));
    let proxy = in_front_of("http", &[one.address()], "");
    let mut client = Connection::open(proxy.address("in"));
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(client.read(5).len(), 5);
    let since = Instant::now();
    drain(&proxy, "e0");
    client.read_to_end();
    assert!(since.elapsed() >= DELAY);
    assert_eq!(log_lines(&proxy, 1)[0]["flag"], "ED");
}

#[test]
fn streams_of_http2_are_reset_and_others_on_the_connection_go_on() {
    let begins = || {
        Endpoint::scripted(Arc::new(|stream: TcpStream| {
            let Some(mut connection) = Http2Endpoint::accept(stream, &[]) else { return };
            while let Some(stream) = connection.next_request() {
                connection.send(Frame::HEADERS, Frame::END_HEADERS, stream, STATUS_200);
                connection.send(Frame::DATA, 0, stream, b"begun");
            }
        }))
    };
    let (one, other) = (begins(), begins());
    let proxy = in_front_of("http", &[one.address(), other.address()], "protocol: http2");
    let client = Http2::open(proxy.address("in"));
    let mut begun = client.begin(&format!("http://{}/", proxy.address("in")), 2).into_iter();
    let (first, second) = (begun.next().expect("two"), begun.next().expect("two"));
    let in_flight = || proxy.metric("plimsoll_endpoint_in_flight{cluster=\"app\"");
    wait_for("both to be under way", || (in_flight() == 2.0).then_some(()));
    let since = Instant::now();
    drain(&proxy, "e0");
    wait_for("one to be ended", || (in_flight() == 1.0).then_some(()));
    assert!(since.elapsed() >= DELAY);
    change(&proxy, "e1", "{\"enabled\": false}");
    assert!(client.end_of(first).is_some() && client.end_of(second).is_some());
}

#[test]
fn websockets_are_closed_after_the_delay() {
    let one = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        if read_request(&mut stream).is_some() {
            let agreeing = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            let _ = stream.write_all(agreeing.as_bytes());
            let mut bytes = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut bytes) {
                let _ = stream.write_all(&bytes[..read]);
            }
        }
    }));
    let proxy = in_front_of("http", &[one.address()], "");
    let mut client = Connection::open(proxy.address("in"));
    client.send(
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(client.response_head().map(|head| head.status), Some(101));
    assert!(echoes(&mut client));
    let since = Instant::now();
    change(&proxy, "e0", "{\"enabled\": false}");
    assert!(echoes(&mut client));
    is_closed_in_time(&mut client, since);
    let lines = log_lines(&proxy, 1);
    assert_eq!((&lines[0]["status"], &lines[0]["flag"]), (&101.into(), &"ED".into()));
}

#[test]
fn requests_that_wait_for_an_answer_go_elsewhere_after_the_delay_if_they_may() {
    let (silent, other) = (Origin::new(), Endpoint::named("other"));
    silent.behave(Behaviour::Silent);
    for (method, expected) in [("GET", 200), ("POST", 503)] {
        let proxy = in_front_of("http", &[silent.address(), other.address()], "");
        change(&proxy, "e1", "{\"enabled\": false}");
        let address = proxy.address("in");
        let client = std::thread::spawn(move || request(address, method, "/", &[], None).status);
        wait_for("it to be asked", || (proxy.metric("plimsoll_endpoint_in_flight") == 1.0).then_some(()));
        let since = Instant::now();
        change(&proxy, "e1", "{\"enabled\": true}");
        drain(&proxy, "e0");
        assert_eq!(client.join().expect("a client"), expected, "{method}");
        assert!(since.elapsed() >= DELAY);
    }
}

#[test]
fn a_drained_endpoint_loses_its_clients_after_the_delay() {
    let (one, other) = (Endpoint::named("one"), Endpoint::named("other"));
    let proxy = in_front_of("http", &[one.address(), other.address()], "affinity: { plugin: cookie }");
    let first = request(proxy.address("in"), "GET", "/", &[], None);
    let cookie = first.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned();
    let asked = || request(proxy.address("in"), "GET", "/", &[("cookie", &cookie)], None).text();
    let bound_to = first.text();
    let since = Instant::now();
    drain(&proxy, if bound_to == "one" { "e0" } else { "e1" });
    assert_eq!(asked(), bound_to, "it keeps them for now");
    wait_for("the client to be moved", || (asked() != bound_to).then_some(()));
    assert!(since.elapsed() >= DELAY);
}

#[test]
fn sessions_of_udp_go_on_for_the_delay_and_move() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    for leaves in ["{\"drain\": true}", "{\"enabled\": false}"] {
        let proxy = in_front_of("udp", &[one.address(), other.address()], "");
        let client = UdpClient::of(proxy.address("in"));
        let first = client.ask("?");
        let since = Instant::now();
        change(&proxy, if first == "one" { "e0" } else { "e1" }, leaves);
        assert_eq!(client.ask("?"), first, "it goes on");
        // What is asked at its end is answered to nobody: UDP loses, and its clients ask again.
        wait_for("the session to move", || (client.ask_until_answered("?") != first).then_some(()));
        assert!(since.elapsed() >= DELAY);
        assert_eq!(proxy.metric("plimsoll_udp_sessions_total{cluster=\"app\",end=\"deregistered\"}"), 1.0);
        assert_eq!(log_lines(&proxy, 1)[0]["end"], "deregistered");
    }
}
