use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::config::Probe;
use crate::control::desired::Version;
use crate::control::membership::{ClusterState, HealthState, HeardProbe, Member, SourceReport};
use crate::control::plugins::PluginEntry;
use crate::control::state::Control;
use crate::plugin::BreakerState;
use crate::snapshot::{Availability, LoadReport, Wishes};

/// How the proxy is.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Status {
    pub version: String,
    /// `starting`, `ready` or `draining`.
    pub state: String,
    pub uptime_seconds: u64,
    pub workers: usize,
    /// 0 before the first one is live.
    pub config_version: u64,
    pub listeners: Vec<ListenerReport>,
    pub clusters: usize,
    pub endpoints: usize,
    pub endpoints_available: usize,
    /// Names of plugins in quarantine.
    pub plugins_quarantined: Vec<String>,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ListenerReport {
    pub name: String,
    /// Address in force, with the real port: the first of them.
    pub address: String,
    /// All of them.
    pub addresses: Vec<String>,
    pub protocol: String,
    /// Open connections on all workers.
    pub connections: usize,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ClusterReport {
    pub name: String,
    pub balancer: String,
    pub affinity: Option<String>,
    pub health: String,
    /// Of several at the same time, all, separated by commas.
    pub probe: Option<String>,
    /// The cluster whose probes count.
    pub track: Option<String>,
    /// Whether TLS is spoken to the endpoints: `verified`, or `unverified` with `insecure_skip_verify`.
    pub tls: Option<String>,
    /// Number of the current generation of endpoints.
    pub generation: u64,
    /// Whether so few endpoints are healthy that requests go to all (`panic_percent`).
    pub panic: bool,
    /// How many attempts may be under way at once, with `adaptive_concurrency`.
    pub concurrency_limit: Option<u32>,
    pub endpoints: Vec<EndpointReport>,
    /// Endpoints that the cluster does without, since their names have no address.
    pub unresolved: Vec<UnresolvedReport>,
    /// Ids of endpoints of the configuration that the admin API has removed.
    pub removed: Vec<String>,
    /// Where further endpoints come from.
    pub sources: Vec<SourceReport>,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct UnresolvedReport {
    /// `HOST:PORT`.
    pub address: String,
    pub reason: String,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct EndpointReport {
    pub id: String,
    pub address: String,
    /// Where it comes from: `configuration`, `api`, `srv NAME` or `file PATH`.
    pub source: String,
    pub slot: u32,
    pub weight: u32,
    /// Share of the weight in force, in thousandths: below 1000 while the endpoint warms up, or wants less.
    pub ramp: u32,
    /// `ready`, `draining` or `unavailable`.
    pub availability: String,
    /// `healthy` or `unhealthy`.
    pub health: String,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// The last probes, the newest first.
    pub probes: Vec<ProbeReport>,
    /// What the operator says of it.
    pub drain: bool,
    pub enabled: bool,
    /// How it wants to be treated itself, as its probes say; what it has said nothing of is absent.
    pub wishes: Wishes,
    /// Attempts that may be under way; 0 is no bound.
    pub max_connections: u32,
    pub in_flight: u32,
    pub requests: u64,
    pub failures: u64,
    /// Moving average of the time to first byte.
    pub first_byte_us: u32,
    /// Why the last connection to it could not be made, as of an endpoint whose certificate is not accepted; none once one could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailureReport>,
    /// What it last said of its load, in thousandths.
    pub reported_load: Option<LoadReport>,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct FailureReport {
    pub message: String,
    /// How long ago it was.
    pub ago_ms: u64,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ProbeReport {
    pub passed: bool,
    /// What the prober said.
    pub detail: String,
    pub took_us: u64,
    /// How long ago it ended.
    pub ago_ms: u64,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ConfigVersion {
    pub version: u64,
    pub origin: String,
    /// Seconds since 1970 when it became live.
    pub since_unix_seconds: u64,
    pub live: bool,
}

impl Control {
    pub fn status(&self) -> Status {
        let state = self.lock();
        let now_ms = self.services.now_ms();
        let members = || {
            state
                .clusters
                .values()
                .flat_map(|cluster| cluster.members.iter().map(|member| cluster.availability(member)))
        };
        let current = state.versions.live();
        let listeners = current.map(|version| version.config.listeners.as_slice()).unwrap_or_default();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: match current {
                _ if self.is_draining() => "draining",
                None => "starting",
                Some(_) => "ready",
            }
            .to_owned(),
            uptime_seconds: self.started().elapsed().unwrap_or_default().as_secs(),
            workers: self.workers.len(),
            config_version: current.map_or(0, |version| version.number),
            listeners: listeners
                .iter()
                .map(|listener| {
                    let socket = |bind: &SocketAddr| state.sockets.get(&listener.socket(*bind));
                    let in_force = |bind| socket(bind).map_or(*bind, |socket| socket.address).to_string();
                    let addresses: Vec<String> = listener.bind.iter().map(in_force).collect();
                    let first = listener.bind.first().and_then(socket);
                    ListenerReport {
                        name: listener.name.clone(),
                        address: addresses.first().cloned().unwrap_or_default(),
                        addresses,
                        protocol: listener.protocol.as_str().to_owned(),
                        connections: first.map_or(0, |socket| socket.connections.total()),
                    }
                })
                .collect(),
            clusters: state.clusters.len(),
            endpoints: members().count(),
            endpoints_available: members().filter(|availability| *availability != Availability::Unavailable).count(),
            plugins_quarantined: state
                .plugins
                .iter()
                .filter(|(_, entry)| {
                    entry.live.as_ref().is_some_and(|live| live.breaker.state(now_ms) == BreakerState::Quarantined)
                })
                .map(|(name, _)| name.to_string())
                .collect(),
        }
    }

    pub fn clusters(&self) -> Vec<ClusterReport> {
        self.lock().clusters.values().map(cluster_report).collect()
    }

    pub fn cluster(&self, name: &str) -> Option<ClusterReport> {
        self.lock().clusters.get(name).map(cluster_report)
    }

    /// Metrics for Prometheus. A quarantine ends by itself or by another version, so it is looked up when it is asked for.
    pub fn metrics(&self) -> String {
        let now_ms = self.services.now_ms();
        let quarantined = |entry: &PluginEntry| {
            entry.live.as_ref().map(|live| live.breaker.state(now_ms) == BreakerState::Quarantined)
        };
        let states: Vec<_> =
            self.lock().plugins.iter().filter_map(|(name, entry)| Some((name.clone(), quarantined(entry)?))).collect();
        for (name, quarantined) in states {
            self.registry.set_plugin_quarantined(&name, quarantined);
        }
        self.registry.set_plugin_table_bytes(&self.services.table_bytes());
        self.registry.encode()
    }

    pub fn config_versions(&self) -> Vec<ConfigVersion> {
        let state = self.lock();
        let live = state.versions.live().map(|version| version.number);
        let report = |version: &Version| ConfigVersion {
            version: version.number,
            origin: version.origin.to_owned(),
            since_unix_seconds: unix_seconds(version.since),
            live: Some(version.number) == live,
        };
        state.versions.iter().map(report).collect()
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

fn cluster_report(cluster: &ClusterState) -> ClusterReport {
    ClusterReport {
        name: cluster.config.name.clone(),
        balancer: cluster.config.balancer.plugin.clone(),
        affinity: cluster.config.affinity.as_ref().map(|affinity| affinity.plugin.clone()),
        health: cluster.config.health.evaluator.plugin.clone(),
        probe: cluster.config.health.probe.as_ref().map(probers),
        track: cluster.config.health.track.clone(),
        tls: cluster.tls.as_ref().map(|tls| if tls.verifies() { "verified" } else { "unverified" }.to_owned()),
        generation: cluster.set.generation(),
        panic: cluster.panics(),
        concurrency_limit: cluster.concurrency_limit(),
        endpoints: cluster.members.iter().map(|member| endpoint_report(cluster, member)).collect(),
        unresolved: cluster
            .found
            .unresolved
            .iter()
            .map(|(address, reason)| UnresolvedReport { address: address.to_string(), reason: reason.clone() })
            .collect(),
        removed: cluster.found.removed.clone(),
        sources: cluster.found.sources.clone(),
    }
}

/// The probers of its checks.
fn probers(probe: &Probe) -> String {
    probe.checks.iter().map(|check| check.plugin.plugin.as_str()).collect::<Vec<_>>().join(", ")
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn probe_report(probe: &HeardProbe) -> ProbeReport {
    ProbeReport {
        passed: probe.passed,
        detail: probe.detail.clone(),
        took_us: whole(probe.took.as_micros()),
        ago_ms: whole(probe.ended.elapsed().as_millis()),
    }
}

fn endpoint_report(cluster: &ClusterState, member: &Member) -> EndpointReport {
    let (health, reason) = match &member.health {
        HealthState::Healthy => ("healthy", None),
        HealthState::Unhealthy { reason, .. } => ("unhealthy", Some(reason.clone())),
    };
    EndpointReport {
        id: member.id().to_owned(),
        address: member.address.to_string(),
        source: member.origin.to_string(),
        slot: member.slot,
        weight: member.effective_weight(),
        ramp: member.ramp(),
        availability: cluster.availability(member).as_str().to_owned(),
        health: health.to_owned(),
        reason,
        probes: member.heard.iter().map(probe_report).collect(),
        drain: member.draining,
        enabled: !member.disabled,
        wishes: member.wishes,
        max_connections: member.max_connections(),
        in_flight: member.counters.in_flight(),
        requests: member.counters.requests(),
        failures: member.counters.failures(),
        first_byte_us: member.counters.first_byte_us(),
        last_failure: member.counters.trouble().map(|trouble| FailureReport {
            message: trouble.message.clone(),
            ago_ms: whole(trouble.at.elapsed().as_millis()),
        }),
        reported_load: member.counters.reported_load().map(|(report, _)| report),
    }
}
