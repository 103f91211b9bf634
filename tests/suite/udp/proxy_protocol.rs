//! What proxies in front of us say in front of datagrams.

use std::net::SocketAddr;

use plimsoll_proxy_protocol::{Addresses, Details, Tlvs, Version, write};
use plimsoll_tests::{Dnsmasq, Proxy, Server, UdpClient, UdpEndpoint, wait_for};

use super::peers::dig;
use super::{config, dropped, echo_proxy, open_sessions, udp_proxy, wait_for_ends};
use crate::PLIMSOLL;

const TRUSTED: &str = "proxy_protocol: { from: [127.0.0.0/8] }";
const OPTIONAL: &str = "proxy_protocol: { from: [127.0.0.0/8], mode: optional }";

fn header(client: Option<&str>) -> Vec<u8> {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let addresses = client.map(|client| Addresses::new(address(client), address("198.51.100.1:53")).of_datagrams());
    write(Version::V2, addresses, &Details::default(), Tlvs { crc32c: true, ..Tlvs::default() })
}

/// A datagram of this client.
fn from(client: &str, datagram: &str) -> Vec<u8> {
    [&header(Some(client)), datagram.as_bytes()].concat()
}

fn headers(proxy: &Proxy, header: &str) -> f64 {
    proxy.metric(&format!("plimsoll_proxy_protocol_headers_total{{listener=\"game\",header=\"{header}\"}}"))
}

/// Whom the access log is about, sorted.
fn clients(proxy: &Proxy, lines: usize) -> Vec<String> {
    let client = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(line["client"].as_str()?.to_owned())
    };
    let mut clients = wait_for("lines in the access log", || {
        let clients: Vec<String> = proxy.stdout().lines().filter_map(client).collect();
        (clients.len() >= lines).then_some(clients)
    });
    clients.sort();
    clients
}

#[test]
fn one_port_speaks_for_many_clients_with_a_header_in_front_of_each_datagram() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, &format!("{TRUSTED}, timeouts: {{ idle: 1s }}"));
    let front = UdpClient::of(proxy.address("game"));
    for round in 0..3 {
        for client in ["192.0.2.1:1001", "192.0.2.2:1002", "192.0.2.2:1003"] {
            let datagram = format!("{client} {round}");
            // Answers are nobody's in particular: they have no header.
            assert_eq!(front.ask(from(client, &datagram)), datagram);
        }
    }
    assert_eq!(front.ask(header(Some("192.0.2.1:1001"))), "", "a datagram of no bytes is one");
    let peers: std::collections::HashSet<_> = endpoint.peers().into_iter().collect();
    assert_eq!((peers.len(), open_sessions(&proxy)), (3, 3.0), "each client has a session");
    assert_eq!((headers(&proxy, "v2"), dropped(&proxy, "proxy_header")), (10.0, 0.0));
    assert_eq!(clients(&proxy, 3), ["192.0.2.1:1001", "192.0.2.2:1002", "192.0.2.2:1003"]);
}

#[test]
fn what_is_said_once_holds_for_the_datagrams_behind_it() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let proxy = udp_proxy(&[one.address(), other.address()], &format!("{TRUSTED}, timeouts: {{ idle: 2s }}"), "");
    let front = UdpClient::of(proxy.address("game"));
    let first = front.ask(from("192.0.2.1:1001", "hello"));
    assert!((0..5).all(|_| front.ask("more") == first));
    // Also when they go on with another endpoint.
    let id = if first == "one" { "e0" } else { "e1" };
    let path = format!("/v1/clusters/app/endpoints/{id}");
    proxy.admin_json("PATCH", &path, Some(br#"{ "enabled": false }"#));
    wait_for("all workers to know", || (front.ask("more") != first).then_some(()));
    assert_eq!(clients(&proxy, 2), ["192.0.2.1:1001", "192.0.2.1:1001"]);
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_client_beside_those_that_it_names() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, &format!("{TRUSTED}, timeouts: {{ idle: 500ms }}"));
    let front = UdpClient::of(proxy.address("game"));
    assert_eq!(front.ask(from("192.0.2.1:1001", "a client")), "a client");
    assert_eq!(front.ask([&header(None)[..], b"a probe"].concat()), "a probe");
    assert_eq!((headers(&proxy, "local"), headers(&proxy, "v2")), (1.0, 1.0));
    assert_eq!(clients(&proxy, 2), [front.address().to_string(), "192.0.2.1:1001".to_owned()]);
}

#[test]
fn what_has_no_right_header_is_dropped_and_counted() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, TRUSTED);
    let mut bent = from("192.0.2.1:1001", "hello");
    bent[20] ^= 1;
    let cases: [(&[u8], &str); 6] = [
        (b"hello", "absent"),
        (b"", "absent"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nhello", "absent"),
        (&from("192.0.2.1:1001", "")[..30], "malformed"),
        (&bent, "malformed"),
        (&header(None)[..13], "malformed"),
    ];
    for (datagram, why) in cases {
        let before = (headers(&proxy, why), dropped(&proxy, "proxy_header"));
        UdpClient::of(proxy.address("game")).send(datagram);
        wait_for(why, || (headers(&proxy, why) == before.0 + 1.0).then_some(()));
        assert_eq!(dropped(&proxy, "proxy_header"), before.1 + 1.0);
    }
    let elsewhere = echo_proxy(&endpoint, "proxy_protocol: { from: [192.0.2.0/24] }");
    UdpClient::of(elsewhere.address("game")).send(from("192.0.2.1:1001", "hello"));
    wait_for("it to be dropped", || (headers(&elsewhere, "untrusted") == 1.0).then_some(()));
    assert_eq!(
        (dropped(&elsewhere, "proxy_header"), open_sessions(&proxy), open_sessions(&elsewhere)),
        (1.0, 0.0, 0.0)
    );
    assert!(endpoint.peers().is_empty());
}

#[test]
fn where_headers_are_optional_what_comes_without_is_taken_as_it_is() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, OPTIONAL);
    let client = UdpClient::of(proxy.address("game"));
    for datagram in ["hello", "", "PROXY UNKNOWN\r\n", "\r\n\r\n"] {
        assert_eq!(client.ask(datagram), datagram);
    }
    assert_eq!(UdpClient::of(proxy.address("game")).ask(from("192.0.2.1:1001", "named")), "named");
    let elsewhere = echo_proxy(&endpoint, "proxy_protocol: { from: [192.0.2.0/24], mode: optional }");
    let stranger = UdpClient::of(elsewhere.address("game"));
    stranger.send(header(Some("192.0.2.1:1001")));
    assert_eq!(stranger.receive(), header(Some("192.0.2.1:1001")), "a stranger's word is no header");
    assert_eq!((headers(&proxy, "v2"), headers(&elsewhere, "v2")), (1.0, 0.0));
}

#[test]
fn named_clients_are_the_sources_that_limits_and_policies_see() {
    let endpoint = UdpEndpoint::echo();
    let limits = format!("{TRUSTED}, limits: {{ connections_per_source: 1 }}");
    let proxy = udp_proxy(&[endpoint.address()], &limits, "");
    let front = UdpClient::of(proxy.address("game"));
    assert_eq!(front.ask(from("192.0.2.1:1001", "first")), "first");
    front.send(from("192.0.2.1:1002", "second"));
    wait_for("it to be refused", || (dropped(&proxy, "source_limit") == 1.0).then_some(()));
    assert_eq!(front.ask(from("192.0.2.2:1002", "another")), "another");
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let bound = udp_proxy(&[one.address(), other.address()], TRUSTED, "affinity: { plugin: source-ip }");
    let ask = |client: &str| UdpClient::of(bound.address("game")).ask(from(client, "?"));
    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let first = ask(&format!("{client}:1000"));
        assert!((1..5).all(|port| ask(&format!("{client}:{port}")) == first), "{client}");
    }
}

/// Those of a listener that is gone go on, and none begins.
#[test]
fn headers_are_taken_off_as_long_as_there_are_sessions() {
    let endpoint = UdpEndpoint::echo();
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
    let bind = socket.local_addr().expect("an address").to_string();
    drop(socket);
    let with = config(&bind, &[endpoint.address()], TRUSTED, "");
    let without = with.replace("name: game", "name: other").replace(&bind, "127.0.0.1:0");
    let proxy = Proxy::start(PLIMSOLL, &with);
    let front = UdpClient::of(bind.parse().expect("an address"));
    assert_eq!(front.ask(from("192.0.2.1:1001", "before")), "before");
    proxy.admin_json("PUT", "/v1/config", Some(without.as_bytes()));
    front.send(from("192.0.2.2:1002", "late"));
    assert_eq!(front.ask(from("192.0.2.1:1001", "after")), "after");
    assert_eq!(endpoint.peers().len(), 2);
}

/// Through two proxies: the second one tells the endpoint what the first has told it.
#[test]
fn our_own_header_is_read_and_told_on() {
    let endpoint = UdpEndpoint::echo();
    let told = "proxy_protocol: { version: v2 }";
    let inner = udp_proxy(&[endpoint.address()], &format!("{TRUSTED}, timeouts: {{ idle: 500ms }}"), told);
    let outer = udp_proxy(&[inner.address("game")], "", told);
    let client = UdpClient::of(outer.address("game"));
    let addresses = Addresses::new(client.address(), outer.address("game")).of_datagrams();
    let expected = [&write(Version::V2, Some(addresses), &Details::default(), Tlvs::default())[..], b"hello"].concat();
    for _ in 0..3 {
        client.send("hello");
        assert_eq!(client.receive(), expected);
    }
    wait_for_ends(&inner, "idle_timeout", 1.0);
    assert_eq!(clients(&inner, 1), [client.address().to_string()]);
}

/// It sends what many clients ask through few ports, with a header in front of each.
#[test]
fn dnsdist_says_who_asks() {
    let dnsmasq = Dnsmasq::start("192.0.2.7 a.test\n", "");
    let proxy = udp_proxy(&[dnsmasq.address()], &format!("{TRUSTED}, udp: {{ responses: 1 }}"), "");
    let mut dnsdist = Server::prepared("dnsdist");
    let settings = format!(
        "setLocal('{}')\nsetSecurityPollSuffix('')\nnewServer({{ address='{}', useProxyProtocol=true, healthCheckMode='up' }})",
        dnsdist.address(),
        proxy.address("game")
    );
    std::fs::write(dnsdist.directory().join("dnsdist.conf"), settings).expect("files can be written");
    dnsdist.start("dnsdist", &["--supervised", "-C", "dnsdist.conf"]);
    for _ in 0..4 {
        let port = plimsoll_tests::free_address().port();
        let from = format!("127.0.0.1#{port}");
        assert_eq!(dig(dnsdist.address(), &["+short", "-b", &from, "a.test"]), "192.0.2.7\n");
        // It also asks by itself whether the endpoint is there.
        let client = format!("127.0.0.1:{port}");
        wait_for("a line about it", || clients(&proxy, 1).contains(&client).then_some(()));
    }
    assert_eq!(dropped(&proxy, "proxy_header"), 0.0);
}
