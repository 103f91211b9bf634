//! What is refused before the process has used up what it may have.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use plimsoll_tests::{Connection, Endpoint, Proxy, Response, get, wait_for};

use crate::PLIMSOLL;

/// Two listeners, `web` and `other`, to one endpoint.
fn config(endpoint: &Endpoint, workers: u32, overload: &str) -> String {
    format!(
        "workers: {workers}
admin: {{ bind: 127.0.0.1:0 }}
overload: {{ {overload} }}
listeners:
  - {{ name: web, bind: 127.0.0.1:0, cluster: app }}
  - {{ name: other, bind: 127.0.0.1:0, cluster: app }}
clusters: [ {{ name: app, endpoints: [ \"{}\" ] }} ]",
        endpoint.address()
    )
}

fn proxy(endpoint: &Endpoint, overload: &str) -> Proxy {
    Proxy::start(PLIMSOLL, &config(endpoint, 2, overload))
}

/// Has it have so many file descriptors at the most, as prlimit(1) says it.
fn limit_files(proxy: &Proxy, most: &str) {
    let limited =
        Command::new("prlimit").args([&format!("--nofile={most}"), "--pid", &proxy.pid().to_string()]).status();
    assert!(limited.is_ok_and(|status| status.success()), "prlimit is part of Debian's util-linux");
}

fn refused(proxy: &Proxy, reason: &str) -> f64 {
    ["web", "other"]
        .map(|listener| {
            let family = "plimsoll_connections_refused_total";
            proxy.metric(&format!("{family}{{listener=\"{listener}\",reason=\"{reason}\"}}"))
        })
        .iter()
        .sum()
}

fn ask(connection: &mut Connection) -> Option<Response> {
    connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    connection.response()
}

#[test]
fn connections_of_all_listeners_are_bounded_together() {
    let endpoint = Endpoint::named("one");
    let proxy = proxy(&endpoint, "max_connections: 2");
    let (web, other) = (proxy.address("web"), proxy.address("other"));
    let (mut first, mut second) = (Connection::open(web), Connection::open(other));
    for accepted in [&mut first, &mut second] {
        assert_eq!(ask(accepted).expect("an answer").text(), "one");
    }
    let refusal = get(other, "/");
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.header("retry-after"), Some("1"));
    assert!(refused(&proxy, "overload") >= 1.0);
    assert_eq!(refused(&proxy, "limit"), 0.0);
    assert_eq!(ask(&mut first).expect("an answer").text(), "one");
    assert_eq!(ask(&mut second).expect("an answer").text(), "one");
    drop(first);
    wait_for("room", || (get(web, "/").status == 200).then_some(()));
}

#[test]
fn with_too_much_memory_in_use_requests_are_refused_and_the_admin_api_answers() {
    let endpoint = Endpoint::named("one");
    let proxy = proxy(&endpoint, "max_memory: off");
    let web = proxy.address("web");
    let mut open = Connection::open(web);
    assert_eq!(ask(&mut open).expect("an answer").status, 200);
    let bound_by = |most: &str, now: &str| {
        let config = proxy.admin("GET", "/v1/config", None).text().replace(most, now);
        proxy.admin_json("PUT", "/v1/config", Some(config.as_bytes()));
    };
    // Less than it needs.
    bound_by("max_memory: off", "max_memory: 16MiB");
    let shed = wait_for("requests to be refused", || {
        let response = ask(&mut open)?;
        (response.status == 503).then_some(response)
    });
    assert_eq!(shed.header("retry-after"), Some("1"));
    assert!(proxy.metric("plimsoll_request_flags_total{cluster=\"none\",flag=\"OM\"}") >= 1.0);
    assert_eq!(get(web, "/").status, 503, "a new connection");
    proxy.wait_for_log("too much is in use", "used=");
    bound_by("max_memory: 16MiB", "max_memory: off");
    wait_for("requests to be served", || (ask(&mut open)?.status == 200).then_some(()));
}

#[test]
fn connections_are_refused_before_file_descriptors_run_out() {
    let endpoint = Endpoint::named("one");
    let limited = format!("ulimit -n 100; exec {PLIMSOLL} run --config config.yaml");
    let proxy = Proxy::run("sh", &["-c", &limited], Some(&config(&endpoint, 1, "")));
    let web = proxy.address("web");
    let mut open = Connection::open(web);
    assert_eq!(ask(&mut open).expect("an answer").text(), "one");
    // Faster than anything is measured.
    let mut idle: Vec<_> = (0..200).map(|_| Connection::open(web)).collect();
    wait_for("all that are too many to be refused", || (refused(&proxy, "overload") >= 100.0).then_some(()));
    // One of the last may have got a descriptor that something else gave back meanwhile.
    let is_refused = |connection: &mut Connection| connection.response().is_some_and(|answer| answer.status == 503);
    assert!(idle.iter_mut().rev().take(5).any(is_refused), "who is refused is told so");
    assert_eq!(ask(&mut open).expect("an answer").text(), "one", "what is open can be served");
    drop(idle);
    wait_for("room", || (get(web, "/").status == 200).then_some(()));
    assert_eq!(refused(&proxy, "error"), 0.0);
}

#[test]
fn a_limit_of_file_descriptors_that_is_lowered_from_outside_is_heeded() {
    let endpoint = Endpoint::named("one");
    let proxy = proxy(&endpoint, "");
    let web = proxy.address("web");
    let mut open: Vec<_> = (0..60).map(|_| Connection::open(web)).collect();
    for accepted in &mut open {
        assert_eq!(ask(accepted).expect("an answer").status, 200);
    }
    let used = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("it runs").count();
    // More than nine tenths of it are in use.
    limit_files(&proxy, &format!("{}:", used + 5));
    wait_for("a refusal", || (get(web, "/").status == 503).then_some(()));
    assert_eq!(ask(&mut open[0]).expect("an answer").status, 200, "what is open can be served");
    assert_eq!(refused(&proxy, "error"), 0.0);
}

#[test]
fn probes_of_silent_endpoints_leave_most_file_descriptors_to_clients() {
    const MOST: usize = 64;
    let one = Endpoint::named("one");
    // All of 127.0.0.0/8 is this machine.
    let silent = TcpListener::bind(("0.0.0.0", 0)).expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let (told, accepted) = mpsc::sync_channel::<TcpStream>(3 * MOST);
    std::thread::spawn(move || silent.incoming().flatten().try_for_each(|stream| told.send(stream)));
    let many: Vec<String> = (1..=3 * MOST).map(|host| format!("\"127.0.1.{host}:{port}\"")).collect();
    let config = format!(
        "workers: 1
admin: {{ bind: 127.0.0.1:0 }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - {{ name: app, endpoints: [ \"{}\" ] }}
  - {{ name: silent, endpoints: [ {} ], health: {{ probe: {{ plugin: http, interval: 100ms, timeout: 60s }} }} }}",
        one.address(),
        many.join(", ")
    );
    // A quarter of these, and 64 at the least.
    let limited = format!("ulimit -n 240; exec {PLIMSOLL} run --config config.yaml");
    let proxy = Proxy::run("sh", &["-c", &limited], Some(&config));
    let mut held: Vec<TcpStream> = accepted.iter().take(MOST).collect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(get(proxy.address("web"), "/").text(), "one");
    }
    assert!(accepted.try_recv().is_err(), "more than {MOST} probes are under way");
    // Those that end make room for others.
    held.truncate(MOST / 2);
    let mut next = accepted.recv_timeout(Duration::from_secs(20)).expect("another probe");
    assert!(next.read(&mut [0; 16]).is_ok_and(|count| count > 0), "it asks");
}

#[test]
fn an_endpoint_is_not_to_blame_for_file_descriptors_that_the_process_lacks() {
    let endpoint = Endpoint::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
    let proxy = proxy(&endpoint, "max_open_files_percent: 100");
    let mut connection = Connection::open(proxy.address("web"));
    assert_eq!(ask(&mut connection).expect("an answer").status, 200);
    limit_files(&proxy, "3:");
    // More than it takes for an endpoint to be ejected.
    for _ in 0..8 {
        assert_eq!(ask(&mut connection).expect("an answer").status, 503);
    }
    limit_files(&proxy, "1000:");
    assert_eq!(ask(&mut connection).expect("an answer").status, 200);
    let report = proxy.admin_json("GET", "/v1/clusters/app", None);
    let endpoint = &report["endpoints"][0];
    assert!(endpoint["last_failure"].is_null(), "{endpoint}");
    assert_eq!(proxy.metric("plimsoll_attempts_total{cluster=\"app\",outcome=\"connect_failure\"}"), 0.0);
}
