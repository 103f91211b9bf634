use std::sync::Arc;

use anyhow::{Result, anyhow};
use plimsoll::plugin::{Instance, KnownClusters, PolicyConfig, Role};
use plimsoll::snapshot::EndpointSet;
use serde_json::Value;

use super::shelf::Shelf;

/// A policy in an instance of its own.
pub(super) fn policy(
    shelf: &Shelf,
    name: &str,
    config: PolicyConfig,
    endpoints: &Arc<EndpointSet>,
) -> Result<(Instance, u32)> {
    let mut instance = shelf.starter(name)?()?;
    let policy = instance.add_policy(config, endpoints.clone()).map_err(|error| anyhow!("{error}"))?;
    Ok((instance, policy))
}

pub(super) fn config(role: Role, config: &Value) -> PolicyConfig {
    PolicyConfig {
        role,
        scope: "bench".into(),
        config: config.to_string().into(),
        pointer: String::new(),
        known_clusters: KnownClusters::default(),
        of_connections: false,
    }
}
