//! Plain TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use plimsoll_tests::{Connection, Endpoint, Nginx, Proxy, curl, free_address, self_signed, wait_for};

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

/// nginx with TLS, which says who it is and which server it was asked for.
fn tls_origin(name: &str) -> (Nginx, std::net::SocketAddr) {
    let address = free_address();
    let server = format!(
        "server {{ listen {address} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; \
         location / {{ return 200 \"{name} as $ssl_server_name\"; }} }}"
    );
    let (certificate, key) = self_signed("shop.test");
    (Nginx::with_upstreams(&server, "", &[("cert.pem", &certificate), ("key.pem", &key)]), address)
}

/// What curl gets from a server of this name by TLS through the proxy.
fn by_tls(proxy: &Proxy, name: &str) -> String {
    let through = format!("{name}:443:{}", proxy.address("raw"));
    curl(&["--insecure", "--connect-to", &through, &format!("https://{name}/")])
}

#[test]
fn tls_goes_through_to_the_cluster_of_its_server_name() {
    let ((_one, one), (_two, two)) = (tls_origin("one"), tls_origin("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners:
  - name: raw
    bind: 127.0.0.1:0
    protocol: tcp
    router: {{ plugin: rules, config: {{ routes: [
      {{ match: {{ host: shop.test }}, cluster: one }}, {{ match: {{ host: \"*.blog.test\" }}, cluster: two }} ] }} }}
clusters: [ {{ name: one, endpoints: [ \"{one}\" ] }}, {{ name: two, endpoints: [ \"{two}\" ] }} ]"
        ),
    );
    assert_eq!(by_tls(&proxy, "shop.test"), "one as shop.test");
    assert_eq!(by_tls(&proxy, "a.blog.test"), "two as a.blog.test");
    // Nobody else's name, and no TLS at all.
    let mut other = Connection::open(proxy.address("raw"));
    other.send("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    assert_eq!(other.read_to_end(), b"");
}

#[test]
fn connections_can_be_hashed_by_the_server_name_of_their_tls() {
    let ((_one, one), (_two, two)) = (tls_origin("one"), tls_origin("two"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app }} ]
clusters: [ {{ name: app, balancer: {{ plugin: maglev }}, hash_on: [ server_name ], endpoints: [ \"{one}\", \"{two}\" ] }} ]"
        ),
    );
    let mut used = std::collections::HashSet::new();
    for tenant in 0..12 {
        let name = format!("tenant-{tenant}.test");
        let answers: std::collections::HashSet<String> = (0..3).map(|_| by_tls(&proxy, &name)).collect();
        assert_eq!(answers.len(), 1, "{answers:?}");
        used.extend(answers.into_iter().filter_map(|answer| answer.split(' ').next().map(str::to_owned)));
    }
    assert_eq!(used.len(), 2, "{used:?}");
}
