use std::net::IpAddr;
use std::time::Duration;

use plimsoll_proxy_protocol::Version;

use super::endpoint::UpstreamProtocol;
use super::plugin::PluginUse;
use super::tls::UpstreamTls;

#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub evaluator: PluginUse,
    pub probe: Option<Probe>,
    /// The cluster whose probes count, too.
    pub track: Option<String>,
    pub max_ejected_percent: u32,
    pub min_available: u32,
    pub panic_percent: u32,
}

impl Health {
    /// Whether endpoints are asked the same, however often, and wherever in the file that stands.
    pub fn asks_like(&self, other: &Self) -> bool {
        let is_asked = match (&self.probe, &other.probe) {
            (Some(one), Some(other)) => one.asks_like(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.track == other.track && is_asked
    }
}

/// What is asked of an endpoint at a time, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// At least one.
    pub checks: Vec<Check>,
    pub passes: Passes,
    pub pace: Pace,
    /// Of each check.
    pub timeout: Duration,
}

/// When a probe of several checks passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    WithAll,
    WithAny,
}

/// What one prober asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub plugin: PluginUse,
    /// In the place of the endpoint's own.
    pub address: Option<IpAddr>,
    /// In the place of the endpoint's own.
    pub port: Option<u16>,
    /// What probers of HTTP speak.
    pub protocol: UpstreamProtocol,
    pub tls: CheckTls,
    /// How long the endpoint's certificate has to be valid yet.
    pub min_validity: Option<Duration>,
    /// The version of the PROXY protocol in which they say that they are our own.
    pub proxy_protocol: Option<Version>,
    /// Whether exchanges of HTTP/1.1 follow one another on a connection.
    pub reuses_connection: bool,
}

/// How a check speaks TLS.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckTls {
    /// Not, unless its prober wants to.
    Off,
    AsCluster,
    Own(Box<UpstreamTls>),
}

/// How often an endpoint is probed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    pub initial_delay: Duration,
    pub interval: Duration,
    /// While the last probe speaks against what the endpoint is held to be.
    pub fast_interval: Duration,
    /// While the endpoint is out, and its probes fail.
    pub unhealthy_interval: Duration,
    /// While the endpoint is in service, and has had no request since its last probe.
    pub no_traffic_interval: Duration,
    /// Up to so much longer or shorter.
    pub jitter_percent: u32,
}

impl Probe {
    /// Whether it is the same probe, wherever in the file each is.
    pub fn is_same(&self, other: &Self) -> bool {
        let when = |probe: &Self| (probe.pace, probe.timeout, probe.passes);
        when(self) == when(other) && self.asks_like(other)
    }

    fn asks_like(&self, other: &Self) -> bool {
        let mut pairs = self.checks.iter().zip(&other.checks);
        self.checks.len() == other.checks.len() && pairs.all(|(one, other)| one.is_same(other))
    }
}

impl Check {
    fn is_same(&self, other: &Self) -> bool {
        let whom = |check: &Self| (check.plugin.plugin.clone(), check.address, check.port, check.protocol);
        let how = |check: &Self| (check.min_validity, check.proxy_protocol, check.reuses_connection);
        whom(self) == whom(other)
            && how(self) == how(other)
            && self.tls == other.tls
            && self.plugin.config == other.plugin.config
    }
}
