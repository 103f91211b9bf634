//! SIGTERM.

use std::net::{SocketAddr, TcpStream};

use plimsoll_tests::{Connection, Endpoint, Gate, Proxy, Signal, curl, wait_for};

use super::behind;
use crate::PLIMSOLL;

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

fn in_front_of(endpoint: &Endpoint, grace: &str) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "shutdown: {{ grace: {grace} }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
            endpoint.address()
        ),
    )
}

fn told_to_end(proxy: &Proxy, web: SocketAddr) {
    proxy.signal(Signal::Term);
    wait_for("new connections to be refused", || TcpStream::connect(web).is_err().then_some(()));
}

#[test]
fn what_is_under_way_finishes_and_nothing_new_begins() {
    let gate = Gate::default();
    let endpoint = behind(&gate, "", ANSWER);
    let mut proxy = in_front_of(&endpoint, "60s");
    let web = proxy.address("web");
    let mut client = Connection::open(web);
    client.send(REQUEST);
    gate.wait_for_arrivals(1);
    told_to_end(&proxy, web);
    // Balancers before this one are told by the admin API, which lasts as long as there is something under way.
    let ready = proxy.admin("GET", "/readyz", None);
    assert_eq!((ready.status, proxy.admin("GET", "/healthz", None).status), (503, 200));
    assert_eq!(proxy.admin_json("GET", "/v1/status", None)["state"], "draining");
    assert!(proxy.is_alive());
    gate.open();
    let response = client.response().expect("the answer");
    assert_eq!(
        (response.status, response.header("connection"), response.text().as_str()),
        (200, Some("close"), "done")
    );
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(proxy.wait_for_end().code(), Some(0));
    proxy.wait_for_log("all workers have ended", "all");
}

#[test]
fn a_body_under_way_finishes_too() {
    let gate = Gate::default();
    let endpoint = behind(&gate, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf", "half");
    let mut proxy = in_front_of(&endpoint, "60s");
    let web = proxy.address("web");
    let mut client = Connection::open(web);
    client.send(REQUEST);
    let mut got = Vec::new();
    while !got.ends_with(b"half") {
        let byte = client.read(1);
        assert!(!byte.is_empty(), "the answer ended early");
        got.extend(byte);
    }
    told_to_end(&proxy, web);
    gate.open();
    assert_eq!(client.read_to_end(), b"half");
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

#[test]
fn idle_connections_hold_nothing_up() {
    let endpoint = Endpoint::named("one");
    let mut proxy = in_front_of(&endpoint, "10m");
    let web = proxy.address("web");
    let mut used = Connection::open(web);
    used.send(REQUEST);
    assert_eq!(used.response().map(|response| response.status), Some(200));
    let mut silent = Connection::open(web);
    wait_for("both connections", || {
        (proxy.admin_json("GET", "/v1/status", None)["listeners"][0]["connections"] == 2).then_some(())
    });
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
    assert_eq!((used.read_to_end(), silent.read_to_end()), (vec![], vec![]));
}

/// The kernel would reset them with the socket.
#[test]
fn connections_that_wait_to_be_accepted_are_answered() {
    let endpoint = Endpoint::named("one");
    let mut proxy = in_front_of(&endpoint, "60s");
    let web = proxy.address("web");
    proxy.signal(Signal::Stop);
    let mut clients: Vec<Connection> = (0..500).map(|_| Connection::open(web)).collect();
    clients.iter_mut().for_each(|client| client.send(REQUEST));
    proxy.signal(Signal::Term);
    proxy.signal(Signal::Cont);
    for client in &mut clients {
        assert_eq!(client.response().expect("an answer").status, 200);
    }
    drop(clients);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

#[test]
fn a_request_that_is_on_the_way_is_answered() {
    let endpoint = Endpoint::named("one");
    let mut proxy = in_front_of(&endpoint, "60s");
    let web = proxy.address("web");
    let mut clients = [Connection::open(web), Connection::open(web)];
    clients[1].send("GET / HT");
    told_to_end(&proxy, web);
    clients[0].send(REQUEST);
    clients[1].send("TP/1.1\r\nhost: x\r\n\r\n");
    for client in &mut clients {
        let response = client.response().expect("an answer");
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    }
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

#[test]
fn the_grace_period_ends_a_request_that_does_not() {
    let gate = Gate::default();
    let endpoint = behind(&gate, "", ANSWER);
    let mut proxy = in_front_of(&endpoint, "200ms");
    let mut client = Connection::open(proxy.address("web"));
    client.send(REQUEST);
    gate.wait_for_arrivals(1);
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(0));
    proxy.wait_for_log("the grace period is over", "connections=1");
    assert!(client.response().is_none());
}

#[test]
fn told_a_second_time_it_ends_at_once() {
    let gate = Gate::default();
    let endpoint = behind(&gate, "", ANSWER);
    let mut proxy = in_front_of(&endpoint, "10m");
    let web = proxy.address("web");
    let mut client = Connection::open(web);
    client.send(REQUEST);
    gate.wait_for_arrivals(1);
    told_to_end(&proxy, web);
    assert!(proxy.is_alive());
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_for_end().code(), Some(1));
    proxy.wait_for_log("told to end a second time", "told");
    assert!(client.response().is_none());
}

#[test]
fn a_reload_while_draining_changes_nothing() {
    let gate = Gate::default();
    let endpoint = behind(&gate, "", ANSWER);
    let mut proxy = in_front_of(&endpoint, "60s");
    let web = proxy.address("web");
    let mut client = Connection::open(web);
    client.send(REQUEST);
    gate.wait_for_arrivals(1);
    told_to_end(&proxy, web);
    proxy.signal(Signal::Hup);
    proxy.signal(Signal::Usr1);
    gate.open();
    assert_eq!(client.response().map(|response| response.status), Some(200));
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

#[test]
fn http2_clients_finish_their_streams() {
    let gate = Gate::default();
    let endpoint = behind(&gate, "", ANSWER);
    let mut proxy = in_front_of(&endpoint, "60s");
    let web = proxy.address("web");
    std::thread::scope(|scope| {
        let url = format!("http://{web}/");
        let client =
            scope.spawn(move || curl(&["--http2-prior-knowledge", "-w", " %{http_code} %{http_version}", &url]));
        gate.wait_for_arrivals(1);
        told_to_end(&proxy, web);
        gate.open();
        assert_eq!(client.join().expect("curl ended"), "done 200 2");
    });
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

#[test]
fn http2_clients_are_told_to_go_away() {
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let endpoint = Endpoint::named("one");
    let mut proxy = in_front_of(&endpoint, "60s");
    let mut client = Connection::open(proxy.address("web"));
    // The preface, and an empty SETTINGS frame.
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let first = client.read(9);
    assert_eq!(first[3], 4, "SETTINGS come first (RFC 9113 section 3.4)");
    client.read(length(&first));
    proxy.signal(Signal::Term);
    let mut farewells = Vec::new();
    loop {
        let head = client.read(9);
        if head.len() < 9 {
            break;
        }
        let payload = client.read(length(&head));
        match head[3] {
            // The server waits for the answer, so that it knows the client has seen the first GOAWAY.
            PING => assert!(client.try_send([&[0, 0, 8, PING, 1, 0, 0, 0, 0], &payload[..]].concat())),
            GOAWAY => farewells.push(payload),
            _ => {}
        }
    }
    let last = farewells.last().expect("a GOAWAY");
    assert_eq!(last[4..8], [0; 4], "NO_ERROR");
    assert_eq!(proxy.wait_for_end().code(), Some(0));
}

/// Length of a frame's payload, by its head.
fn length(head: &[u8]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}
