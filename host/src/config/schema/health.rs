use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::PluginUse;
use super::upstream::{UpstreamProtocol, UpstreamTls};
use crate::config::quantity::Span;

/// Which endpoints are healthy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Health {
    /// The plugin that judges probes and live traffic. Default: thresholds, which ejects what fails in live traffic.
    pub(in crate::config) evaluator: Option<PluginUse>,
    /// Probes. Default: none.
    pub(in crate::config) probe: Option<Probe>,
    /// Name of another cluster whose probes count here, too: what comes of a probe of one of its endpoints is told to the
    /// evaluator of this cluster as that of the endpoint with the same id. So what several clusters have in common is probed
    /// once. In the place of `probe`. Default: none.
    pub(in crate::config) track: Option<String>,
    /// Live traffic alone takes out no more than this share of the endpoints, though at least one of several. Default: 50.
    #[schemars(range(min = 0, max = 100))]
    pub(in crate::config) max_ejected_percent: u32,
    /// And never so many that fewer than this are available. Default: 1.
    pub(in crate::config) min_available: u32,
    /// When less than this share of the endpoints is healthy, requests go to all that the operator has not taken out: most then fail
    /// because of the verdicts, or for a reason that another endpoint does not help against. 1 does so only when none is
    /// healthy. Default: 0, never.
    #[schemars(range(min = 0, max = 100))]
    pub(in crate::config) panic_percent: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { evaluator: None, probe: None, track: None, max_ejected_percent: 50, min_available: 1, panic_percent: 0 }
    }
}

/// Probes of every endpoint, by one prober, or by several at the same time of which `all` or `any` have to pass: either
/// `plugin` and what belongs to it, or `all`, or `any`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Probe {
    /// The prober that speaks the protocol, such as `http` or `tcp`.
    pub(in crate::config) plugin: Option<String>,
    /// What the prober is configured with.
    #[serde(default)]
    pub(in crate::config) config: Value,
    /// Where to probe, if not at the endpoint's own address: somebody else who knows how it is, such as the machine that it runs on.
    pub(in crate::config) address: Option<IpAddr>,
    /// Where to probe, if not at the endpoint's own port: an agent beside the application, or a port for health alone.
    #[schemars(range(min = 1, max = 65535))]
    pub(in crate::config) port: Option<u16>,
    /// What probers such as `http` speak, as in the cluster. Default: what the cluster says, or `auto` at a `port` of its own.
    pub(in crate::config) protocol: Option<UpstreamProtocol>,
    /// Whether probes, of whatever protocol, speak TLS as the cluster does. Default: true with `tls` of the cluster, but not
    /// at a `port` of its own.
    pub(in crate::config) tls: Option<bool>,
    /// How probes speak TLS, in the place of what the cluster has for it. Default: none.
    pub(in crate::config) own_tls: Option<Box<UpstreamTls>>,
    /// How long the endpoint's certificate has to be valid yet, where probes speak TLS: `14d` has a probe fail as soon as it
    /// ends within 14 days. Default: none, it has to be valid now.
    pub(in crate::config) min_validity: Option<Span>,
    /// Whether probes begin with a header of the PROXY protocol that says that they are our own. Default: true with `proxy_protocol`
    /// of the cluster, but not at a `port` of its own.
    pub(in crate::config) proxy_protocol: Option<bool>,
    /// Whether probes by HTTP/1.1 follow one another on a connection, as long as they pass, instead of each on a new one. That costs
    /// both sides less, and finds out later when an endpoint takes no connections any more. Default: false.
    pub(in crate::config) reuse_connection: Option<bool>,
    /// Probers that all have to pass. Default: none.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub(in crate::config) all: Vec<Check>,
    /// Probers of which one is enough to pass. Default: none.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub(in crate::config) any: Vec<Check>,
    /// Between the beginnings of two probes of an endpoint. Default: 5s.
    #[serde(default = "five_seconds")]
    pub(in crate::config) interval: Span,
    /// The same while the last probe speaks against what the endpoint is held to be: a verdict comes sooner then. Default: as
    /// `interval`.
    pub(in crate::config) fast_interval: Option<Span>,
    /// The same while the endpoint is out of service and its probes fail. Default: as `interval`.
    pub(in crate::config) unhealthy_interval: Option<Span>,
    /// The same while the endpoint is in service and has had no request since its last probe, as of a cluster that nobody asks for
    /// anything, or endpoints that stand by. Default: as `interval`.
    pub(in crate::config) no_traffic_interval: Option<Span>,
    /// How long a new endpoint is left alone before its first probe. Default: 0s.
    #[serde(default = "no_time")]
    pub(in crate::config) initial_delay: Span,
    /// Each interval is up to so much longer or shorter, at random, so that several proxies do not probe in step. Default: 0.
    #[schemars(range(min = 0, max = 50))]
    #[serde(default)]
    pub(in crate::config) jitter_percent: u32,
    /// A probe without a verdict by then has failed. Default: 2s.
    #[serde(default = "two_seconds")]
    pub(in crate::config) timeout: Span,
}

/// One of several probers, each key as in a probe.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Check {
    /// The prober.
    pub(in crate::config) plugin: String,
    /// What it is configured with.
    #[serde(default)]
    pub(in crate::config) config: Value,
    /// Where to probe, if not at the endpoint's own address.
    pub(in crate::config) address: Option<IpAddr>,
    /// Where to probe, if not at the endpoint's own port.
    #[schemars(range(min = 1, max = 65535))]
    pub(in crate::config) port: Option<u16>,
    /// What probers such as `http` speak.
    pub(in crate::config) protocol: Option<UpstreamProtocol>,
    /// Whether it speaks TLS as the cluster does.
    pub(in crate::config) tls: Option<bool>,
    /// How it speaks TLS, in the place of what the cluster has for it.
    pub(in crate::config) own_tls: Option<Box<UpstreamTls>>,
    /// How long the endpoint's certificate has to be valid yet.
    pub(in crate::config) min_validity: Option<Span>,
    /// Whether it begins with a header of the PROXY protocol.
    pub(in crate::config) proxy_protocol: Option<bool>,
    /// Whether its exchanges by HTTP/1.1 follow one another on a connection.
    pub(in crate::config) reuse_connection: Option<bool>,
}

fn no_time() -> Span {
    Span(Duration::ZERO)
}

fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}

fn two_seconds() -> Span {
    Span(Duration::from_secs(2))
}
