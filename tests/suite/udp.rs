//! UDP.

mod lifecycle;
mod limits;
mod peers;
mod proxy_protocol;
mod quic;
mod sessions;

use std::net::SocketAddr;

use plimsoll_tests::{Proxy, UdpEndpoint, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// A proxy with a listener `game`; `listener` and `cluster` are further settings of each.
fn udp_proxy(endpoints: &[SocketAddr], listener: &str, cluster: &str) -> Proxy {
    Proxy::start(PLIMSOLL, &config("127.0.0.1:0", endpoints, listener, cluster))
}

fn config(bind: &str, endpoints: &[SocketAddr], listener: &str, cluster: &str) -> String {
    let endpoints: Vec<String> =
        endpoints.iter().enumerate().map(|(id, address)| format!("{{ id: e{id}, address: \"{address}\" }}")).collect();
    let endpoints = endpoints.join(", ");
    format!(
        "workers: 2
admin: {{ bind: \"127.0.0.1:0\" }}
access_log: {{ format: json }}
listeners: [ {{ name: game, bind: \"{bind}\", protocol: udp, cluster: app, {listener} }} ]
clusters: [ {{ name: app, balancer: {{ plugin: round-robin }}, endpoints: [ {endpoints} ], {cluster} }} ]"
    )
}

fn echo_proxy(endpoint: &UdpEndpoint, listener: &str) -> Proxy {
    udp_proxy(&[endpoint.address()], listener, "")
}

/// Sessions that have ended in this way.
fn ended(proxy: &Proxy, end: &str) -> f64 {
    proxy.metric(&format!("plimsoll_udp_sessions_total{{cluster=\"app\",end=\"{end}\"}}"))
}

fn wait_for_ends(proxy: &Proxy, end: &str, count: f64) {
    wait_for(&format!("{count} sessions that end by {end}"), || (ended(proxy, end) == count).then_some(()));
}

fn attempts(proxy: &Proxy, outcome: &str) -> f64 {
    proxy.metric(&format!("plimsoll_attempts_total{{cluster=\"app\",outcome=\"{outcome}\"}}"))
}

fn open_sessions(proxy: &Proxy) -> f64 {
    proxy.metric("plimsoll_connections_open{listener=\"game\"}")
}

fn dropped(proxy: &Proxy, reason: &str) -> f64 {
    proxy.metric(&format!("plimsoll_udp_datagrams_dropped_total{{listener=\"game\",reason=\"{reason}\"}}"))
}

/// The first line of the access log about a session.
fn logged(proxy: &Proxy) -> Value {
    let line = wait_for("a line in the access log", || proxy.stdout().lines().next().map(str::to_owned));
    serde_json::from_str(&line).expect("JSON")
}
