//! Plain TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use plimsoll_tests::{Connection, Endpoint, Proxy, wait_for};

use crate::PLIMSOLL;

fn tcp_proxy(endpoints: &[&Endpoint], listener: &str) -> Proxy {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app, {listener} }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {} ] }} ]",
            addresses.join(", ")
        ),
    )
}

/// Sends back the sum of all that came, once the client has ended its side.
fn summing() -> Endpoint {
    Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        let mut bytes = Vec::new();
        if stream.read_to_end(&mut bytes).is_ok() {
            let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
            let _ = stream.write_all(format!("{} {sum}", bytes.len()).as_bytes());
        }
    }))
}

#[test]
fn a_client_that_has_finished_still_gets_its_answer() {
    let endpoint = summing();
    let proxy = tcp_proxy(&[&endpoint], "");
    let mut client = Connection::open(proxy.address("raw"));
    client.send("abc");
    client.finish();
    assert_eq!(client.read_to_end(), b"3 294");
}

#[test]
fn an_endpoint_that_has_finished_still_gets_the_rest() {
    let endpoint = Endpoint::scripted(Arc::new(|mut stream: TcpStream| {
        if stream.write_all(b"hello").is_err() || stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"and a late word");
    }));
    let proxy = tcp_proxy(&[&endpoint], "");
    let mut client = Connection::open(proxy.address("raw"));
    assert_eq!(client.read_to_end(), b"hello");
    client.send("and a late word");
    client.finish();
    wait_for("the connection to be over", || (proxy.metric("plimsoll_endpoint_in_flight") == 0.0).then_some(()));
    assert_eq!(proxy.metric("plimsoll_downstream_bytes_total{listener=\"raw\",direction=\"in\"}"), 15.0);
}

#[test]
fn much_goes_through_unchanged() {
    let endpoint = summing();
    let proxy = tcp_proxy(&[&endpoint], "");
    let mut client = Connection::open(proxy.address("raw"));
    let bytes: Vec<u8> = (0..8_000_003u32).map(|number| (number % 251) as u8).collect();
    client.send(&bytes);
    client.finish();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    assert_eq!(String::from_utf8_lossy(&client.read_to_end()), format!("{} {sum}", bytes.len()));
}

#[test]
fn connections_are_balanced_and_move_on_from_an_endpoint_that_is_gone() {
    let gone = Endpoint::named("gone");
    gone.close();
    let names = ["a", "b"];
    let endpoints = names.map(|name| {
        Endpoint::scripted(Arc::new(move |mut stream: TcpStream| {
            let _ = stream.write_all(name.as_bytes());
        }))
    });
    let proxy = tcp_proxy(&[&gone, &endpoints[0], &endpoints[1]], "");
    let mut answers: Vec<String> = (0..12)
        .map(|_| String::from_utf8_lossy(&Connection::open(proxy.address("raw")).read_to_end()).into_owned())
        .collect();
    answers.sort();
    let a = answers.iter().filter(|answer| *answer == "a").count();
    let b = answers.iter().filter(|answer| *answer == "b").count();
    assert_eq!(a + b, 12, "{answers:?}");
    assert!(a >= 3 && b >= 3, "{answers:?}");
}

#[test]
fn a_silent_connection_ends_after_its_time() {
    let endpoint = Endpoint::scripted(Arc::new(|_stream: TcpStream| std::thread::park()));
    let proxy = tcp_proxy(&[&endpoint], "timeouts: { idle: 200ms }");
    let mut client = Connection::open(proxy.address("raw"));
    assert_eq!(client.read_to_end(), b"");
}
