//! TCP between clients and servers that nobody here wrote.

use std::net::SocketAddr;
use std::process::Command;

use plimsoll_tests::{Proxy, Server, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;
use crate::probers::{mysql, postgres, redis};

fn in_front_of(address: SocketAddr) -> Proxy {
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 2
listeners: [ {{ name: raw, bind: 127.0.0.1:0, protocol: tcp, cluster: app }} ]
clusters: [ {{ name: app, endpoints: [ \"{address}\" ] }} ]"
        ),
    )
}

/// Stands for the port of the proxy among the arguments of a client.
const PORT: &str = "PORT";

/// What a client prints.
fn said(proxy: &Proxy, program: &str, arguments: &[&str]) -> String {
    let port = proxy.address("raw").port().to_string();
    let arguments = arguments.iter().map(|argument| if *argument == PORT { &port } else { *argument });
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; see `cargo xtask prerequisites`"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn psql_talks_to_postgres() {
    let server = postgres::started();
    let proxy = in_front_of(server.address());
    let port = server.address().port().to_string();
    wait_for("PostgreSQL to let clients in", || {
        let asked = Command::new("pg_isready").args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
        asked.is_ok_and(|status| status.success()).then_some(())
    });
    let query =
        |query| said(&proxy, "psql", &["-h", "127.0.0.1", "-p", PORT, "-U", "probe", "-d", "postgres", "-Atc", query]);
    assert_eq!(query("SELECT sum(n) FROM generate_series(1, 100000) AS n"), "5000050000");
    // Some megabytes the one way.
    assert_eq!(query("SELECT repeat('x', 4000000)").len(), 4_000_000);
}

#[test]
fn redis_cli_talks_to_redis() {
    let server = redis::started();
    let proxy = in_front_of(server.address());
    let tell = |command: &[&str]| said(&proxy, "redis-cli", &[&["-p", PORT], command].concat());
    assert_eq!(tell(&["SET", "key", "value"]), "OK");
    assert_eq!(tell(&["GET", "key"]), "value");
    let many = "for i = 1, 50000 do redis.call('RPUSH', 'list', i) end return redis.call('LLEN', 'list')";
    assert_eq!(tell(&["EVAL", many, "0"]), "50000");
    assert_eq!(tell(&["LRANGE", "list", "0", "-1"]).lines().count(), 50_000);
}

#[test]
fn the_client_of_mariadb_talks_to_mariadb() {
    let server = mysql::started();
    let proxy = in_front_of(server.address());
    let query = |query| {
        let who = ["--no-defaults", "-h", "127.0.0.1", "-P", PORT, "-u", "secret", "-pright-one"];
        said(&proxy, "mariadb", &[&who[..], &["-N", "-B", "-e", query]].concat())
    };
    assert_eq!(query("SELECT CURRENT_USER()"), "secret@%");
    assert_eq!(query("SELECT REPEAT('x', 1000000)").len(), 1_000_000);
}

#[test]
fn iperf3_measures_both_ways() {
    let mut server = Server::prepared("iperf3");
    let port = server.address().port().to_string();
    server.start("iperf3", &["--server", "--bind", "127.0.0.1", "--port", &port]);
    let proxy = in_front_of(server.address());
    // Four streams beside the one that controls them.
    let measured = ["--json", "--client", "127.0.0.1", "--port", PORT, "--bytes", "512M", "--parallel", "4"];
    for way in [&[][..], &["--reverse"]] {
        let told: Value = serde_json::from_str(&said(&proxy, "iperf3", &[&measured, way].concat())).expect("a report");
        // It ends when as much was sent, and does not wait for what is on the way then: some tens of MiB are, in the buffers of
        // three programs and their sockets.
        let received = told["end"]["sum_received"]["bytes"].as_f64().expect("bytes");
        assert!(received >= 256.0 * 1024.0 * 1024.0, "{told:#}");
    }
}
