//! Adds endpoints to clusters and removes them while the proxy runs, and keeps what was asked to be kept in a file beside the
//! configuration.

use std::path::Path;
use std::sync::Arc;

use super::amendments::Amendments;
use super::kept::{AmendError, KeptAmendments};
use super::{Found, Origin};
use crate::config::{Cluster, Config, GivenEndpoint};
use crate::control::state::Control;

/// An endpoint that was added or removed.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct EndpointChange {
    /// Id of the endpoint.
    pub id: String,
    /// Whether it is so after a restart, too.
    pub persisted: bool,
    /// Generation of the cluster's endpoints that has the change.
    pub generation: u64,
}

impl Control {
    /// Reads what was kept of amendments, and keeps further ones there. A file that cannot be used is told and put aside.
    pub fn open_amendments(&self, path: &Path) {
        let opened = KeptAmendments::open(path);
        self.lock().membership.amend(|live| live.clone_from(opened.amendments()));
        // Nothing else runs yet, so nobody has it.
        if let Ok(mut kept) = self.kept_amendments.try_lock() {
            *kept = opened;
        }
    }

    /// Adds an endpoint to a cluster, and answers when the workers have been told. With `persist` it is there after a restart.
    pub async fn add_endpoint(
        self: &Arc<Self>,
        cluster: &str,
        given: GivenEndpoint,
        persist: bool,
    ) -> Result<EndpointChange, AmendError> {
        let is_new = |found: &Found, config: &Cluster| match found.origin_of(given.id()) {
            Some(origin) => Err(AmendError::Exists {
                cluster: config.name.clone(),
                id: given.id().to_owned(),
                origin: origin.to_string(),
            }),
            None => Ok(()),
        };
        let change = |amendments: &mut Amendments, cluster: &Cluster| amendments.add(cluster, &given);
        let generation = self.amend(cluster, persist, is_new, change).await?;
        tracing::info!(target: "audit", cluster, endpoint = given.id(), persist, "endpoint added");
        Ok(EndpointChange { id: given.id().to_owned(), persisted: persist, generation })
    }

    /// Removes an endpoint from a cluster, and answers when the workers have been told. Requests under way there finish, as after a
    /// reload. With `persist` it is gone after a restart, too.
    pub async fn remove_endpoint(
        self: &Arc<Self>,
        cluster: &str,
        id: &str,
        persist: bool,
    ) -> Result<EndpointChange, AmendError> {
        let is_there = |found: &Found, config: &Cluster| can_remove(found, config, id);
        let change = |amendments: &mut Amendments, cluster: &Cluster| amendments.remove(cluster, id);
        let generation = self.amend(cluster, persist, is_there, change).await?;
        tracing::info!(target: "audit", cluster, endpoint = id, persist, "endpoint removed");
        Ok(EndpointChange { id: id.to_owned(), persisted: persist, generation })
    }

    /// Makes a change live after it was kept, if it is to be. Answers the generation that has it.
    async fn amend(
        self: &Arc<Self>,
        cluster: &str,
        persist: bool,
        allowed: impl Fn(&Found, &Cluster) -> Result<(), AmendError>,
        change: impl Fn(&mut Amendments, &Cluster),
    ) -> Result<u64, AmendError> {
        // One change after the other, so that none is judged by what another is about to change.
        let mut kept = self.kept_amendments.lock().await;
        let config = {
            let state = self.lock();
            let known = state.clusters.get(cluster).ok_or_else(|| AmendError::UnknownCluster(cluster.to_owned()))?;
            allowed(&known.found, &known.config)?;
            known.config.clone()
        };
        if persist {
            let mut amendments = kept.amendments().clone();
            change(&mut amendments, &config);
            kept.replace(amendments).await?;
        }
        self.lock().membership.amend(|live| change(live, &config));
        drop(kept);
        self.hear_names_of(cluster).await;
        self.renew_clusters();
        let generation = self.lock().clusters.get(cluster).map_or(0, |cluster| cluster.set.generation());
        self.workers_told(cluster, generation).await;
        Ok(generation)
    }

    /// Forgets amendments that the configuration which has gone live makes needless, also in the file.
    pub(in crate::control) async fn settle_amendments(&self, config: &Config) {
        let mut kept = self.kept_amendments.lock().await;
        self.lock().membership.amend(|live| live.settle(config));
        let mut amendments = kept.amendments().clone();
        if amendments.settle(config)
            && let Err(error) = kept.replace(amendments).await
        {
            // The next start settles it again.
            tracing::warn!("what is kept of endpoints is out of date: {error}");
        }
    }
}

fn can_remove(found: &Found, config: &Cluster, id: &str) -> Result<(), AmendError> {
    match found.origin_of(id) {
        Some(Origin::Configuration | Origin::Api) => Ok(()),
        Some(from) => Err(AmendError::Discovered { id: id.to_owned(), origin: from.to_string() }),
        None => Err(match found.whole_of(id) {
            Some(whole) => AmendError::OneAddress { id: id.to_owned(), whole },
            None => AmendError::UnknownEndpoint { cluster: config.name.clone(), id: id.to_owned() },
        }),
    }
}
