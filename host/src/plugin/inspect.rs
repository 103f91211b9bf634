use std::sync::Arc;

use super::component::{Plugin, Source};
use super::engine::{Engine, Limits};
use super::grants::Grants;
use super::memory::Services;

/// What `plimsoll plugin inspect` shows.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Inspection {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub roles: Vec<String>,
    pub imports: Vec<String>,
    pub config_schemas: Vec<(String, serde_json::Value)>,
    pub digest: String,
    pub size_bytes: usize,
}

/// Loads a component as the proxy would, with everything granted, and tells what it is.
pub fn inspect(bytes: &[u8]) -> anyhow::Result<Inspection> {
    let engine = Engine::new()?;
    let services = Arc::new(Services::new(b"", Arc::default()));
    let plugin =
        Plugin::load(&engine, &services, None, bytes, Source::Upload, Grants::everything(), Limits::default())?;
    Ok(Inspection {
        name: plugin.name.to_string(),
        version: plugin.version.clone(),
        summary: plugin.summary.clone(),
        roles: plugin.roles.iter().map(ToString::to_string).collect(),
        imports: plugin.imports.clone(),
        config_schemas: plugin.config_schemas.iter().map(|(role, schema)| (role.to_string(), schema.clone())).collect(),
        digest: plugin.digest.clone(),
        size_bytes: plugin.size_bytes,
    })
}
