//! SIGHUP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll_tests::{Connection, Endpoint, Gate, Proxy, Signal, get, wait_for};

use super::behind;
use crate::PLIMSOLL;

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// The listener leads to the first of the clusters.
fn config(clusters: &[(&str, &Endpoint)]) -> String {
    let mut text =
        format!("listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: {} }} ]\nclusters:\n", clusters[0].0);
    for (name, endpoint) in clusters {
        text += &format!("  - {{ name: {name}, endpoints: [ \"{}\" ] }}\n", endpoint.address());
    }
    text
}

fn version(proxy: &Proxy) -> u64 {
    proxy.admin_json("GET", "/v1/status", None)["config_version"].as_u64().expect("a number")
}

fn reload(proxy: &Proxy, config: &str) {
    let before = version(proxy);
    proxy.write_config(config);
    proxy.signal(Signal::Hup);
    wait_for("the new configuration", || (version(proxy) == before + 1).then_some(()));
}

#[test]
fn under_load_no_request_fails_and_no_connection_is_closed() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let (first, second) = (config(&[("a", &one)]), config(&[("b", &two)]));
    let proxy = Proxy::start(PLIMSOLL, &first);
    let web = proxy.address("web");
    let enough = AtomicBool::new(false);
    // Every client stays on its connection, to which each reload must be invisible.
    let client = || {
        let mut connection = Connection::open(web);
        let mut answers = (0, 0);
        while !enough.load(Ordering::Relaxed) {
            connection.send(REQUEST);
            let response = connection.response().expect("an answer on the same connection");
            assert_eq!((response.status, response.header("connection")), (200, None), "{}", response.text());
            match response.text().as_str() {
                "one" => answers.0 += 1,
                "two" => answers.1 += 1,
                other => panic!("{other}"),
            }
        }
        answers
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(client)).collect();
        for round in 0..8 {
            let (config, endpoint) = if round % 2 == 0 { (&second, &two) } else { (&first, &one) };
            let before = endpoint.requests().len();
            reload(&proxy, config);
            wait_for("traffic at the new endpoint", || (endpoint.requests().len() > before + 20).then_some(()));
        }
        enough.store(true, Ordering::Relaxed);
        for client in clients {
            let (ones, twos) = client.join().expect("no request failed");
            assert!(ones > 0 && twos > 0, "{ones} and {twos}");
        }
    });
    assert_eq!(proxy.metric("plimsoll_requests_total{cluster=\"a\",class=\"5xx\"}"), 0.0);
    let origins = proxy.admin_json("GET", "/v1/config/versions", None);
    assert_eq!(origins[0]["origin"], "file");
}

#[test]
fn a_broken_configuration_is_told_with_its_lines_and_changes_nothing() {
    let one = Endpoint::named("one");
    let proxy = Proxy::start(PLIMSOLL, &config(&[("a", &one)]));
    let good = std::fs::read_to_string(proxy.directory().join("config.yaml")).expect("the configuration");
    proxy.write_config(&format!("{good}listners: []\nshutdown: {{ grace: soon }}\n"));
    proxy.signal(Signal::Hup);
    let lines = good.lines().count();
    proxy.wait_for_log(&format!("config.yaml:{}:1: listners: unknown key", lines + 1), "listners");
    proxy.wait_for_log(&format!("config.yaml:{}:13: shutdown.grace: ", lines + 2), "grace");
    // What plugins and the operating system object to comes later, and is told as well.
    proxy.write_config(&good.replace("{ name: a,", "{ name: a, balancer: { plugin: nonsense },"));
    proxy.signal(Signal::Hup);
    proxy.wait_for_log("plugin `nonsense` is not known", "config.yaml:");
    assert_eq!((version(&proxy), get(proxy.address("web"), "/").text().as_str()), (1, "one"));
    assert_eq!(proxy.metric("plimsoll_config_reloads_total{result=\"failure\"}"), 2.0);
    // It still listens to signals.
    reload(&proxy, &good);
}

#[test]
fn a_file_that_is_gone_is_told_and_changes_nothing() {
    let one = Endpoint::named("one");
    let proxy = Proxy::start(PLIMSOLL, &config(&[("a", &one)]));
    std::fs::remove_file(proxy.directory().join("config.yaml")).expect("it was there");
    proxy.signal(Signal::Hup);
    proxy.wait_for_log("config.yaml: reading failed: No such file", "origin=");
    assert_eq!((version(&proxy), get(proxy.address("web"), "/").text().as_str()), (1, "one"));
}

#[test]
fn a_response_under_way_outlives_its_cluster_and_its_listener() {
    let gate = Gate::default();
    let stream = behind(
        &gate,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "6\r\nsecond\r\n0\r\n\r\n",
    );
    let two = Endpoint::named("two");
    let proxy = Proxy::start(
        PLIMSOLL,
        &config(&[("a", &stream)])
            .replace("listeners: [", "listeners: [ { name: more, bind: 127.0.0.2:0, cluster: a },"),
    );
    let (web, more) = (proxy.address("web"), proxy.address("more"));
    let mut clients = [Connection::open(web), Connection::open(more)];
    for client in &mut clients {
        client.send(REQUEST);
        let mut got = Vec::new();
        while !got.ends_with(b"first") {
            let byte = client.read(1);
            assert!(!byte.is_empty(), "the answer ended early: {}", String::from_utf8_lossy(&got));
            got.extend(byte);
        }
    }
    reload(&proxy, &config(&[("b", &two)]));
    assert_eq!(get(web, "/").text(), "two");
    wait_for("the second listener to close", || std::net::TcpStream::connect(more).is_err().then_some(()));
    gate.open();
    let mut rest = clients.map(|mut client| client.read("\r\n6\r\nsecond\r\n0\r\n\r\n".len()));
    for rest in &mut rest {
        assert_eq!(String::from_utf8_lossy(rest), "\r\n6\r\nsecond\r\n0\r\n\r\n");
    }
}

#[test]
fn listeners_come_and_go() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(PLIMSOLL, &config(&[("a", &one), ("b", &two)]));
    let web = proxy.address("web");
    let both = config(&[("a", &one), ("b", &two)])
        .replace("listeners: [", "listeners: [ { name: more, bind: 127.0.0.2:0, cluster: b },");
    reload(&proxy, &both);
    let more = proxy.address("more");
    assert_eq!((get(web, "/").text(), get(more, "/").text()), ("one".to_owned(), "two".to_owned()));
    reload(&proxy, &config(&[("a", &one), ("b", &two)]));
    wait_for("the listener to go", || std::net::TcpStream::connect(more).is_err().then_some(()));
    assert_eq!((proxy.address("web"), get(web, "/").text().as_str()), (web, "one"));
}

#[test]
fn two_listeners_whose_ports_the_system_chooses_are_two() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let both = config(&[("a", &one), ("b", &two)])
        .replace("listeners: [", "listeners: [ { name: more, bind: 127.0.0.1:0, cluster: b },");
    let proxy = Proxy::start(PLIMSOLL, &both);
    let addresses = (proxy.address("web"), proxy.address("more"));
    assert_eq!((get(addresses.0, "/").text(), get(addresses.1, "/").text()), ("one".to_owned(), "two".to_owned()));
    reload(&proxy, &both.replace("name: a,", "name: a, max_attempts: 2,"));
    assert_eq!((proxy.address("web"), proxy.address("more")), addresses, "each keeps its own");
}

#[test]
fn counters_and_health_of_endpoints_outlive_a_reload() {
    let one = Endpoint::named("one");
    let proxy = Proxy::start(PLIMSOLL, &config(&[("a", &one)]));
    let web = proxy.address("web");
    assert!((0..7).all(|_| get(web, "/").status == 200));
    reload(&proxy, &config(&[("a", &one)]));
    assert_eq!(proxy.requests_by_endpoint("a").values().sum::<u64>(), 7);
}

/// The probes that an endpoint has seen.
fn probes(endpoint: &Endpoint) -> usize {
    endpoint.requests().iter().filter(|head| head.starts_with("GET /health ")).count()
}

/// A cluster `app` of these endpoints that is probed every so many milliseconds, and another one whose settings `tag` tells
/// apart.
fn probed(interval_ms: u64, endpoints: &[&Endpoint], tag: u32) -> String {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    format!(
        "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health: {{ probe: {{ plugin: http, interval: {interval_ms}ms, config: {{ path: /health }} }} }}
    endpoints: [ {} ]
  - {{ name: other, max_connections: {tag}, endpoints: [ \"127.0.0.1:9\" ] }}",
        addresses.join(", ")
    )
}

#[test]
fn probes_keep_their_pace_through_reloads_that_come_faster() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let interval = Duration::from_millis(800);
    let config = |tag| format!("admin: {{ bind: \"127.0.0.1:0\" }}\n{}", probed(800, &[&one, &two], tag));
    let proxy = Proxy::start(PLIMSOLL, &config(0));
    let mut tag = 0;
    wait_for("a probe of each", || (probes(&one) > 0 && probes(&two) > 0).then_some(()));
    let (before, begun) = ([probes(&one), probes(&two)], Instant::now());
    // The second endpoint is probed half an interval after the first, and reloads come faster than that.
    wait_for("probes in spite of reloads", || {
        tag += 1;
        assert_eq!(proxy.admin("PUT", "/v1/config", Some(config(tag).as_bytes())).status, 200);
        (probes(&one) > before[0] + 2 && probes(&two) > before[1] + 2).then_some(())
    });
    let made = [probes(&one) - before[0], probes(&two) - before[1]];
    let most = (begun.elapsed().as_secs_f64() / interval.as_secs_f64()) as usize + 1;
    assert!(made.iter().all(|made| *made <= most), "{made:?} probes where {most} were due, in {tag} reloads");
    assert!(tag > 5, "only {tag} reloads");
}

#[test]
fn a_changed_check_is_made_soon_and_an_endpoint_that_is_gone_is_not_probed() {
    let (one, two) = (Endpoint::named("one"), Endpoint::named("two"));
    let proxy = Proxy::start(PLIMSOLL, &probed(50, &[&one, &two], 1));
    wait_for("probes", || (probes(&one) > 1 && probes(&two) > 1).then_some(()));
    reload(&proxy, &probed(3_600_000, &[&one, &two], 1).replace("/health", "/other"));
    let other = |endpoint: &Endpoint| endpoint.requests().iter().filter(|head| head.starts_with("GET /other ")).count();
    wait_for("the new check", || (other(&one) == 1 && other(&two) == 1).then_some(()));
    reload(&proxy, &probed(50, &[&one], 1));
    // Some may have been under way.
    wait_for("an end of the probes of an endpoint that is gone", || {
        let (last, now) = (probes(&two), probes(&one));
        wait_for("some more probes", || (probes(&one) > now + 5).then_some(()));
        (probes(&two) == last).then_some(())
    });
}
