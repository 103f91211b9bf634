use std::collections::HashSet;
use std::sync::Arc;

use plimsoll_tests::{DeafSocket, Proxy, UdpClient, UdpEndpoint, wait_for};

use super::{attempts, config, echo_proxy, ended, logged, open_sessions, udp_proxy, wait_for_ends};
use crate::PLIMSOLL;

#[test]
fn each_client_has_a_session_of_its_own_with_one_endpoint() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let proxy = udp_proxy(&[one.address(), other.address()], "", "");
    let clients: Vec<UdpClient> = (0..8).map(|_| UdpClient::of(proxy.address("game"))).collect();
    let first: Vec<String> = clients.iter().map(|client| client.ask("hello")).collect();
    for _ in 0..5 {
        for (client, answered) in clients.iter().zip(&first) {
            assert_eq!(&client.ask("hello"), answered);
        }
    }
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 2, "both endpoints have some: {first:?}");
    let peers: HashSet<_> = one.peers().into_iter().chain(other.peers()).collect();
    assert_eq!((peers.len(), open_sessions(&proxy)), (8, 8.0));
    assert_eq!(proxy.metric("plimsoll_udp_datagrams_total{listener=\"game\",direction=\"in\"}"), 48.0);
    assert_eq!(proxy.metric("plimsoll_udp_datagrams_total{listener=\"game\",direction=\"out\"}"), 48.0);
    assert_eq!(proxy.metric("plimsoll_downstream_bytes_total{listener=\"game\",direction=\"in\"}"), 240.0);
}

#[test]
fn a_session_has_a_line_in_the_log() {
    let endpoint = UdpEndpoint::replying(Arc::new(|_| vec![b"a".to_vec(), b"bcd".to_vec()]));
    let proxy = echo_proxy(&endpoint, "timeouts: { idle: 200ms }");
    let client = UdpClient::of(proxy.address("game"));
    client.send("hello");
    assert_eq!((client.receive(), client.receive()), (b"a".to_vec(), b"bcd".to_vec()));
    let line = logged(&proxy);
    assert_eq!(line["client"], client.address().to_string());
    for (key, value) in
        [("listener", "game"), ("protocol", "udp"), ("cluster", "app"), ("endpoint", "e0"), ("end", "idle_timeout")]
    {
        assert_eq!(line[key], value, "{line}");
    }
    let counts = ["request_datagrams", "request_bytes", "response_datagrams", "response_bytes", "attempts"];
    assert_eq!(counts.map(|key| line[key].as_u64().expect("a number")), [1, 5, 2, 4, 1]);
    assert!(line["flag"].is_null() && line["duration_seconds"].as_f64() > Some(0.2), "{line}");
    assert_eq!(attempts(&proxy, "success"), 1.0);
}

#[test]
fn datagrams_of_any_size_come_as_they_were_sent() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, "");
    let client = UdpClient::of(proxy.address("game"));
    for size in [0, 1, 0, 1200, 1472, 1473, 9000, 65_507, 0, 512] {
        let datagram: Vec<u8> = (0..size).map(|number| (number % 251) as u8).collect();
        client.send(&datagram);
        assert!(client.receive() == datagram, "{size} bytes");
    }
}

/// What is sent at once may come to the proxy at once: each datagram keeps its size and its place.
#[test]
fn datagrams_of_unequal_sizes_stay_apart() {
    let endpoint = UdpEndpoint::echo();
    let proxy = echo_proxy(&endpoint, "");
    let client = UdpClient::of(proxy.address("game"));
    let sizes = [1200, 1200, 1200, 300, 0, 1200, 40, 1400, 1400, 1, 1, 0, 0, 700];
    for round in 0..20_u8 {
        sizes.iter().for_each(|size| client.send(vec![round; *size]));
        let came = sizes.map(|_| client.receive());
        assert_eq!(came.each_ref().map(Vec::len), sizes);
        assert!(came.iter().flatten().all(|byte| *byte == round));
    }
    assert_eq!(endpoint.peers().len(), 20 * sizes.len());
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    for (bind, addresses) in [("0.0.0.0:0", ["127.0.0.1", "127.0.0.2", "127.0.0.3"]), ("[::]:0", ["::1", "::1", "::1"])]
    {
        let endpoint = UdpEndpoint::echo();
        let proxy = Proxy::start(PLIMSOLL, &config(bind, &[endpoint.address()], "", ""));
        let port = proxy.address("game").port();
        for address in addresses {
            let client = UdpClient::of((address.parse::<std::net::IpAddr>().expect("an address"), port).into());
            // It is connected, and hears from that address alone.
            assert_eq!(client.ask(address), address);
        }
        // What one port sends to two addresses is two sessions.
        let sessions = addresses.iter().collect::<HashSet<_>>().len();
        let one = UdpClient::of((addresses[0].parse::<std::net::IpAddr>().expect("an address"), port).into());
        assert_eq!(one.ask("a"), "a");
        one.socket().connect((addresses[1], port)).expect("an address");
        assert_eq!(one.ask("b"), "b");
        assert_eq!(open_sessions(&proxy), (addresses.len() + sessions.min(2)) as f64);
    }
}

#[test]
fn a_session_ends_with_the_last_answer_that_is_expected() {
    let endpoint = UdpEndpoint::named("here");
    let proxy = echo_proxy(&endpoint, "udp: { responses: 1 }");
    let client = UdpClient::of(proxy.address("game"));
    assert_eq!(client.ask("?"), "here");
    wait_for_ends(&proxy, "answered", 1.0);
    wait_for("its end", || (open_sessions(&proxy) == 0.0).then_some(()));
    // Two are expected for two.
    assert_eq!((client.ask("?"), client.ask("?")), ("here".into(), "here".into()));
    wait_for("its end", || (open_sessions(&proxy) == 0.0).then_some(()));
    assert_eq!(attempts(&proxy, "success"), ended(&proxy, "answered"));
}

#[test]
fn where_no_answer_is_expected_nothing_is_waited_for() {
    let endpoint = UdpEndpoint::silent();
    let proxy = echo_proxy(&endpoint, "udp: { responses: 0 }");
    let client = UdpClient::of(proxy.address("game"));
    for number in 1..=3 {
        client.send("<14>one line of a log");
        wait_for_ends(&proxy, "answered", f64::from(number));
    }
    wait_for("all of them", || (endpoint.peers().len() == 3).then_some(()));
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
}

#[test]
fn each_datagram_goes_where_the_balancer_says_with_one_request_a_session() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let proxy = udp_proxy(&[one.address(), other.address()], "udp: { requests: 1, responses: 1 }", "");
    let client = UdpClient::of(proxy.address("game"));
    let answers: Vec<String> = (0..10).map(|_| client.ask("?")).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "one").count(), 5, "{answers:?}");
    wait_for_ends(&proxy, "answered", 10.0);
}

#[test]
fn a_silent_session_says_nothing_about_its_endpoint() {
    let endpoint = UdpEndpoint::silent();
    let proxy = echo_proxy(&endpoint, "timeouts: { idle: 100ms }");
    UdpClient::of(proxy.address("game")).send("?");
    wait_for_ends(&proxy, "idle_timeout", 1.0);
    assert_eq!((attempts(&proxy, "client_abort"), proxy.metric("plimsoll_endpoint_failures_total")), (1.0, 0.0));
}

#[test]
fn an_endpoint_that_owes_an_answer_has_failed() {
    let endpoint = UdpEndpoint::silent();
    let proxy = echo_proxy(&endpoint, "udp: { responses: 1 }, timeouts: { idle: 100ms }");
    UdpClient::of(proxy.address("game")).send("?");
    wait_for_ends(&proxy, "response_timeout", 1.0);
    assert_eq!((attempts(&proxy, "timeout"), proxy.metric("plimsoll_endpoint_failures_total")), (1.0, 1.0));
    assert_eq!(logged(&proxy)["flag"], "UT");
}

/// ICMP tells of a port that nobody listens on.
#[test]
fn what_has_reached_nobody_goes_to_another_endpoint() {
    let (gone, here) = (DeafSocket::reserve(), UdpEndpoint::echo());
    let cluster =
        "health: { evaluator: { plugin: thresholds, config: { passive: { failures: 3, eject_for: 300s } } } }";
    let first = cluster.replace("health:", "balancer: { plugin: first }, health:");
    let text = config("127.0.0.1:0", &[gone.address(), here.address()], "", &first);
    let proxy = Proxy::start(PLIMSOLL, &text.replace("balancer: { plugin: round-robin }, ", ""));
    for number in 0..3 {
        let client = UdpClient::of(proxy.address("game"));
        let datagrams = [format!("first of {number}"), "second".to_owned(), String::new()];
        datagrams.iter().for_each(|datagram| client.send(datagram));
        let answers: HashSet<String> =
            datagrams.iter().map(|_| String::from_utf8_lossy(&client.receive()).into_owned()).collect();
        assert_eq!(answers, datagrams.into_iter().collect::<HashSet<_>>());
    }
    assert_eq!(attempts(&proxy, "connect_failure"), 3.0);
    // It has failed three times in a row.
    wait_for("its ejection", || (proxy.metric("plimsoll_endpoint_available") == 1.0).then_some(()));
    assert_eq!(UdpClient::of(proxy.address("game")).ask("fourth"), "fourth");
    assert_eq!(attempts(&proxy, "connect_failure"), 3.0);
    let report = proxy.admin_json("GET", "/v1/clusters/app", None);
    assert!(report["endpoints"][0]["last_failure"].to_string().contains("refused"), "{report}");
}

#[test]
fn where_nobody_listens_at_any_endpoint_a_session_ends() {
    let (gone, too) = (DeafSocket::reserve(), DeafSocket::reserve());
    let proxy = udp_proxy(&[gone.address(), too.address()], "", "max_attempts: 2");
    UdpClient::of(proxy.address("game")).send("?");
    wait_for_ends(&proxy, "connect_failure", 1.0);
    let line = logged(&proxy);
    assert_eq!((&line["flag"], &line["attempts"]), (&"UF".into(), &2.into()), "{line}");
}

#[test]
fn an_endpoint_that_is_gone_in_the_midst_of_a_session_ends_it() {
    let (mut one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let text = config("127.0.0.1:0", &[one.address(), other.address()], "", "balancer: { plugin: first }");
    let proxy = Proxy::start(PLIMSOLL, &text.replace("balancer: { plugin: round-robin }, ", ""));
    let client = UdpClient::of(proxy.address("game"));
    assert_eq!(client.ask("?"), "one");
    one.stop();
    // What was sent to nobody is lost, as datagrams may be; the next session begins with the next one.
    assert_eq!(client.ask_until_answered("?"), "other");
    wait_for_ends(&proxy, "endpoint_reset", 1.0);
    assert_eq!(attempts(&proxy, "reset"), 1.0);
}

#[test]
fn a_session_moves_when_its_endpoint_may_have_no_clients_any_more() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let proxy = udp_proxy(&[one.address(), other.address()], "", "");
    let client = UdpClient::of(proxy.address("game"));
    let first = client.ask("?");
    let id = if first == "one" { "e0" } else { "e1" };
    let path = format!("/v1/clusters/app/endpoints/{id}");
    let patch = |change: &str| proxy.admin_json("PATCH", &path, Some(change.as_bytes()));
    patch(r#"{ "drain": true }"#);
    assert!((0..10).all(|_| client.ask("?") == first), "those that it has stay");
    patch(r#"{ "drain": false, "enabled": false }"#);
    wait_for("all workers to know", || (client.ask("?") != first).then_some(()));
    wait_for_ends(&proxy, "endpoint_gone", 1.0);
    assert_eq!(proxy.metric("plimsoll_endpoint_failures_total"), 0.0);
}

#[test]
fn sessions_of_one_source_go_to_one_endpoint_with_affinity() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let proxy = udp_proxy(&[one.address(), other.address()], "", "affinity: { plugin: source-ip }");
    let answers: HashSet<String> = (0..10).map(|_| UdpClient::of(proxy.address("game")).ask("?")).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn a_router_decides_for_sessions_too() {
    let (one, other) = (UdpEndpoint::named("one"), UdpEndpoint::named("other"));
    let proxy = Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
access_log: {{ format: json }}
listeners:
  - {{ name: game, bind: \"127.0.0.1:0\", protocol: udp, router: {{ plugin: rules, config: {{ routes: [ {{ name: all, cluster: app }} ] }} }} }}
clusters:
  - {{ name: other, endpoints: [ \"{}\" ] }}
  - {{ name: app, endpoints: [ \"{}\" ] }}",
            other.address(),
            one.address()
        ),
    );
    assert_eq!(UdpClient::of(proxy.address("game")).ask("?"), "one");
}

#[test]
fn a_session_waits_for_room_at_its_endpoint() {
    let endpoint = UdpEndpoint::replying(Arc::new(|datagram| match datagram {
        b"hold" => Vec::new(),
        b"end" => vec![b"end".to_vec(); 2],
        other => vec![other.to_vec()],
    }));
    let (udp, queue) = ("udp: { responses: 1 }", "max_connections: 1, queue: { timeout: 60s }");
    let proxy = udp_proxy(&[endpoint.address()], udp, queue);
    let (first, second) = (UdpClient::of(proxy.address("game")), UdpClient::of(proxy.address("game")));
    first.send("hold");
    wait_for("its session", || (proxy.metric("plimsoll_endpoint_in_flight") == 1.0).then_some(()));
    second.send("one");
    second.send("two");
    wait_for("the other one to wait", || (proxy.metric("plimsoll_queue_length") == 1.0).then_some(()));
    assert_eq!(endpoint.peers().len(), 1);
    assert_eq!(first.ask("end"), "end");
    assert_eq!((second.receive(), second.receive()), (b"one".to_vec(), b"two".to_vec()));
    wait_for_ends(&proxy, "answered", 2.0);
}

#[test]
fn a_session_that_waits_too_long_for_room_ends() {
    let endpoint = UdpEndpoint::echo();
    let proxy = udp_proxy(&[endpoint.address()], "", "max_connections: 1, queue: { timeout: 100ms }");
    let (first, second) = (UdpClient::of(proxy.address("game")), UdpClient::of(proxy.address("game")));
    assert_eq!(first.ask("a"), "a");
    second.send("b");
    wait_for_ends(&proxy, "overflow", 1.0);
    assert_eq!((logged(&proxy)["flag"].clone(), first.ask("c").as_str()), ("UO".into(), "c"));
}
