use std::net::IpAddr;
use std::time::Duration;

use plimsoll_proxy_protocol::Version;

use super::endpoint::UpstreamProtocol;
use super::plugin::PluginUse;

#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub evaluator: PluginUse,
    pub probe: Option<Probe>,
    pub max_ejected_percent: u32,
    pub min_available: u32,
    pub panic_percent: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub plugin: PluginUse,
    /// In the place of the endpoint's own.
    pub address: Option<IpAddr>,
    /// In the place of the endpoint's own.
    pub port: Option<u16>,
    /// What probers of HTTP speak.
    pub protocol: UpstreamProtocol,
    /// Whether they speak TLS as the cluster does.
    pub tls: bool,
    /// The version of the PROXY protocol in which they say that they are our own.
    pub proxy_protocol: Option<Version>,
    pub pace: Pace,
    pub timeout: Duration,
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
    /// Up to so much longer or shorter.
    pub jitter_percent: u32,
}

impl Probe {
    /// Whether it is the same check, wherever in the file each is.
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |probe: &Self| (probe.plugin.plugin.clone(), probe.plugin.config.clone());
        let how = |probe: &Self| (probe.address, probe.port, probe.protocol, probe.tls, probe.proxy_protocol);
        let when = |probe: &Self| (probe.pace, probe.timeout);
        of(self) == of(other) && how(self) == how(other) && when(self) == when(other)
    }
}
