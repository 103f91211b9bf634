//! All integration tests, one binary.

mod acme;
mod admin;
mod affinity;
mod answers;
mod bodies;
mod browser;
mod certificates;
mod chaos;
mod client_certificates;
mod concurrency;
mod deregistration;
mod discovery;
mod early_data;
mod effective_request;
mod examples;
mod faults;
mod forging;
mod forwarding;
mod gate;
mod grpc;
mod hashing;
mod health;
mod hedging;
mod http1;
mod http2;
mod http2_floods;
mod http2_upstream;
mod http3;
mod http3_upstream;
mod https;
mod kept;
mod lifecycle;
mod limits;
mod load_reports;
mod names;
mod overload;
mod panics;
mod partitions;
mod passthrough;
mod plugins;
mod probe;
mod probers;
mod proxy_protocol;
mod proxy_protocol_upstream;
mod qlog;
mod queue;
mod quic;
mod retries;
mod routes;
mod shown;
mod signatures;
mod silence;
mod slow_start;
mod store;
mod tcp;
mod tcp_peers;
mod ticks;
mod timeouts;
mod tls;
mod tls_peers;
mod transfers;
mod transparent;
mod udp;
mod upgrades;
mod upstream_tls;

use plimsoll_tests::{Endpoint, Proxy};

/// The binary under test.
const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");

/// A proxy whose listener `web` leads to a cluster `app`. `listener` and `cluster` are further settings of each.
fn in_front_of(endpoints: &[&Endpoint], listener: &str, cluster: &str) -> Proxy {
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
    let addresses = addresses.join(", ");
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app, {listener} }} ]
clusters: [ {{ name: app, endpoints: [ {addresses} ], {cluster} }} ]"
        ),
    )
}
