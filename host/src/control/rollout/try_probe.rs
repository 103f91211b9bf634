//! One probe of a cluster's endpoints, without a proxy that runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::config::{self, Address, Config};
use crate::control::desired::ApplyError;
use crate::control::membership::{Asked, Place};
use crate::control::plugins::TrustedKeys;
use crate::control::state::Control;
use crate::health::{self, Watcher};
use crate::plugin::{Engine, ProbeResult, Services};

/// What came of the probe of an endpoint.
#[derive(Debug)]
pub struct TriedProbe {
    /// Its id.
    pub endpoint: String,
    /// None when its prober failed, which says nothing of it.
    pub result: Option<ProbeResult>,
}

/// Why there is nothing to probe.
#[derive(Debug, thiserror::Error)]
pub enum TryProbeError {
    #[error("{0}")]
    Refused(#[from] ApplyError),
    #[error("no cluster of the name `{0}`; there are: {1}")]
    UnknownCluster(String, String),
    #[error("the cluster `{0}` has no `probe`")]
    NoProbe(String),
    #[error("the cluster `{0}` tracks the probes of `{1}`: ask for these")]
    Tracks(String, String),
    #[error("`{0}` is neither the id of an endpoint of the cluster, nor HOST:PORT; the ids are: {1}")]
    UnknownEndpoint(String, String),
    #[error("the runtime could not be started: {0}")]
    Runtime(#[source] std::io::Error),
    #[error("`{0}` has no address: {1}")]
    Unresolved(String, String),
}

/// Probes the endpoints of a cluster once, one after the other, or only the one of an id or at an address. `store` is where uploads
/// are kept, and whether the operator says so.
pub async fn try_probe(
    engine: &Engine,
    services: &Arc<Services>,
    config: Config,
    store: Option<(&Path, bool)>,
    (cluster, only): (&str, Option<&str>),
    watcher: &dyn Watcher,
) -> Result<Vec<TriedProbe>, TryProbeError> {
    let control = Control::for_checking(engine.clone(), services.clone(), TrustedKeys::new(&config.plugin_keys));
    if let Some((directory, is_asked_for)) = store {
        control.open_store(directory, is_asked_for);
    }
    let mut prepared = control.prepare(config)?;
    control.install_health(&mut prepared);
    let Some(state) = prepared.wanted.clusters.get(cluster) else {
        let known: Vec<&str> = prepared.wanted.clusters.keys().map(|name| &**name).collect();
        return Err(TryProbeError::UnknownCluster(cluster.to_owned(), known.join(", ")));
    };
    let health = &state.config.health;
    let Some(probe) = &health.probe else {
        return Err(match &health.track {
            Some(tracked) => TryProbeError::Tracks(cluster.to_owned(), tracked.clone()),
            None => TryProbeError::NoProbe(cluster.to_owned()),
        });
    };
    let asked = Asked { probe: probe.clone(), tls: state.probe_tls.clone() };
    let mut tried = Vec::new();
    for (endpoint, named) in chosen(&state.config.endpoints, only)? {
        let address = resolve(&named).await?;
        let place = Place { cluster: cluster.into(), endpoint, slot: 0, address, host: named.host };
        let ways = asked.towards(&place.host);
        let checks = place.checks(&asked, &ways, watcher);
        let probed = health::probe(&control.evaluation, probe.passes, checks, probe.timeout).await;
        tried.push(TriedProbe { endpoint: place.endpoint, result: probed.and_then(|probed| probed.result) });
    }
    Ok(tried)
}

/// The endpoints that are to be probed, with their ids.
fn chosen(endpoints: &[config::Endpoint], only: Option<&str>) -> Result<Vec<(String, Address)>, TryProbeError> {
    let known = || endpoints.iter().map(|endpoint| (endpoint.id.clone(), endpoint.address.clone()));
    let Some(only) = only else { return Ok(known().collect()) };
    let found: Vec<_> = known().filter(|(id, _)| id == only).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let ids = || known().map(|(id, _)| id).collect::<Vec<_>>().join(", ");
    let address = only.parse().map_err(|_| TryProbeError::UnknownEndpoint(only.to_owned(), ids()))?;
    Ok(vec![(only.to_owned(), address)])
}

/// The first address, as the system knows it.
async fn resolve(address: &Address) -> Result<SocketAddr, TryProbeError> {
    if let Some(ip) = address.ip() {
        return Ok(SocketAddr::new(ip, address.port));
    }
    let unresolved = |why: String| TryProbeError::Unresolved(address.host.clone(), why);
    let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
    let mut found = found.map_err(|error| unresolved(error.to_string()))?;
    found.next().ok_or_else(|| unresolved("the system knows none".to_owned()))
}
