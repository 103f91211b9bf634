//! Probers against the servers that they are for, from Debian's packages, in the states in which these are found.

mod agent;
mod composed;
mod dns;
mod grpc;
mod http;
mod ldap;
mod memcached;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod redis;
mod smtp;
mod tcp;
mod tls;

use std::net::SocketAddr;

use plimsoll_tests::{Proxy, wait_for};
use serde_json::Value;

use crate::PLIMSOLL;

/// A proxy in front of one endpoint, which it probes and about which every probe decides.
fn probing(endpoint: SocketAddr, plugin: &str, config: &str) -> Proxy {
    probing_by(endpoint, &format!("plugin: {plugin}, config: {config}"))
}

/// The same with a probe of any form.
fn probing_by(endpoint: SocketAddr, probe: &str) -> Proxy {
    let pace = if probe.contains("interval:") { "" } else { "interval: 50ms, " };
    Proxy::start(
        PLIMSOLL,
        &format!(
            "workers: 1
listeners: [ {{ name: web, bind: 127.0.0.1:0, cluster: app }} ]
clusters:
  - name: app
    health:
      evaluator: {{ plugin: thresholds, config: {{ rise: 1, fall: 1, initial: 1, passive: off }} }}
      probe: {{ {pace}{probe} }}
    endpoints: [ \"{endpoint}\" ]"
        ),
    )
}

/// Waits until the endpoint serves.
fn passes(proxy: &Proxy) {
    becomes(proxy, "ready");
}

/// Waits until the endpoint is as available as this.
fn becomes(proxy: &Proxy, availability: &str) -> Value {
    wait_for(availability, || {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0].clone();
        (report["availability"] == availability).then_some(report)
    })
}

/// Waits until the endpoint is out, and its last probe said these words.
fn fails(proxy: &Proxy, words: &str) {
    wait_for(words, || {
        let report = proxy.admin_json("GET", "/v1/clusters/app", None)["endpoints"][0].clone();
        let said = report["probes"][0]["detail"].as_str().unwrap_or_default();
        (report["availability"] == "unavailable" && said.contains(words)).then_some(())
    });
}
