use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::beside::beside;
use crate::control::plugins::{Earlier, Judgement, PluginEntry, PluginError, RecordingReport, ShadowReport};
use crate::control::state::Control;
use crate::plugin::{BreakerState, FaultReport, Plugin};

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PluginReport {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// SHA-256 of the component.
    pub digest: String,
    pub size_bytes: usize,
    /// `built-in`, `upload`, or the file's path.
    pub source: String,
    pub roles: Vec<String>,
    pub imports: Vec<String>,
    pub state: BreakerState,
    /// Where the configuration uses it: `cluster api: balancer`.
    pub used_by: Vec<String>,
    /// Versions that a rollback can go back to, newest first.
    pub earlier: Vec<String>,
    /// Whether the live version is there after a restart.
    pub kept: bool,
    /// What came of looking at the live version when it was uploaded.
    pub judgement: Option<Judgement>,
}

/// Everything that is known of a plugin.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PluginDetail {
    pub plugin: PluginReport,
    /// JSON Schema of what it is configured with, by role.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub config_schemas: BTreeMap<String, serde_json::Value>,
    /// The live version first, then newest first.
    pub versions: Vec<PluginVersion>,
    /// Where the configuration uses it.
    pub uses: Vec<PluginUse>,
    /// Calls that it did not survive (`trap`, `deadline`, `memory`, `other`) and answers that were not valid
    /// (`invalid_answer`), since the proxy started and over all its versions. What is not there did not happen.
    pub faults: BTreeMap<String, u64>,
    /// The last ones of the live version in words, the oldest first.
    pub recent_faults: Vec<FaultReport>,
    /// The candidate beside the live version, or how the last one did.
    pub shadow: Option<ShadowReport>,
    /// The recording of it that there is.
    pub recording: Option<RecordingReport>,
}

/// A version of a plugin that can be gone back to, or is live.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PluginVersion {
    /// SHA-256 of the component; what a rollback goes `to`.
    pub digest: String,
    pub version: String,
    /// `built-in`, `upload`, or the file's path.
    pub source: String,
    pub live: bool,
    /// Of what was uploaded: when, by whom, what it may import, and what it was held against.
    pub upload: Option<UploadReport>,
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct UploadReport {
    /// Seconds since 1970.
    pub loaded_unix_seconds: u64,
    /// Address of the client.
    pub by: String,
    pub size_bytes: usize,
    pub grants: Vec<String>,
    /// `quick`, `full` or `off`.
    pub conformance: String,
}

/// One use of a plugin.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct PluginUse {
    pub role: String,
    /// Name of the listener of a router, of the cluster otherwise.
    pub scope: String,
    /// JSON Pointer to its settings in the configuration.
    pub path: String,
}

impl Control {
    pub fn plugins(&self) -> Vec<PluginReport> {
        let entries = self.lock().plugins.clone();
        entries.iter().map(|(name, entry)| self.plugin_report(name, entry)).collect()
    }

    /// How a plugin is.
    pub fn plugin(&self, name: &str) -> Option<PluginReport> {
        let entry = self.lock().plugins.get(name).cloned();
        entry.map(|entry| self.plugin_report(name, &entry))
    }

    /// Everything about a plugin. One that nothing has used yet is compiled for it, and stays unused; of one that does not load,
    /// only what is kept of it is told.
    pub async fn plugin_detail(self: &Arc<Self>, name: &str) -> Result<PluginDetail, PluginError> {
        let entry = self.lock().plugins.get(name).cloned().ok_or_else(|| PluginError::Unknown(name.to_owned()))?;
        let mut shown = entry.clone();
        if let (None, Some(first)) = (&entry.live, entry.versions().into_iter().next()) {
            let (loader, owned) = (self.loader.clone(), name.to_owned());
            match beside("loading the plugin", move || first.load(&loader, &owned)).await? {
                Ok(plugin) => shown.live = Some(plugin),
                // Its versions are known all the same.
                Err(error) => tracing::warn!(plugin = name, "only what is kept of the plugin can be told: {error}"),
            }
        }
        let live = shown.live.as_ref();
        let schemas = live.into_iter().flat_map(|live| &live.config_schemas);
        let versions = entry.versions().into_iter().enumerate();
        let versions = versions.map(|(position, version)| version_report(&entry, &version, live, position == 0));
        let faults = self.registry.plugin_faults(name).into_iter();
        Ok(PluginDetail {
            config_schemas: schemas.map(|(role, schema)| (role.to_string(), schema.clone())).collect(),
            versions: versions.collect(),
            uses: self.plugin_uses(name),
            recent_faults: entry.live.as_ref().map_or_else(Vec::new, |live| live.faults.to_vec()),
            faults: faults.map(|(kind, count)| (kind.to_owned(), count)).collect(),
            shadow: self.shadow_report(name),
            recording: self.recording_report(name),
            plugin: self.plugin_report(name, &shown),
        })
    }

    fn plugin_uses(&self, name: &str) -> Vec<PluginUse> {
        let state = self.lock();
        let uses = state.uses.data.get(name).into_iter().chain(state.uses.control.get(name)).flatten();
        let shown = uses.map(|policy| PluginUse {
            role: policy.role.to_string(),
            scope: policy.scope.to_string(),
            path: policy.pointer.clone(),
        });
        shown.collect()
    }

    /// How a plugin is, or would be.
    pub(in crate::control) fn plugin_report(&self, name: &str, entry: &PluginEntry) -> PluginReport {
        let text = |of: fn(&Plugin) -> String| entry.live.as_deref().map(of).unwrap_or_default();
        let list = |of: fn(&Plugin) -> Vec<String>| entry.live.as_deref().map(of).unwrap_or_default();
        let live = entry.live.as_ref();
        let now_ms = self.services.now_ms();
        PluginReport {
            name: name.to_owned(),
            version: text(|live| live.version.clone()),
            summary: text(|live| live.summary.clone()),
            digest: text(|live| live.digest.clone()),
            size_bytes: live.map_or(0, |live| live.size_bytes),
            source: live.map_or_else(|| "built-in".to_owned(), |live| live.source.to_string()),
            roles: list(|live| live.roles.iter().map(ToString::to_string).collect()),
            imports: list(|live| live.imports.clone()),
            state: live.map_or(BreakerState::Healthy, |live| live.breaker.state(now_ms)),
            used_by: self.plugin_uses(name).iter().map(|used| format!("{} {}", used.role, used.scope)).collect(),
            earlier: entry.earlier.iter().rev().map(Earlier::version).collect(),
            kept: self.is_kept(name, entry),
            judgement: entry.judgement.as_deref().cloned(),
        }
    }
}

/// `loaded` is the live version, which knows more of itself than is kept of it.
fn version_report(entry: &PluginEntry, version: &Earlier, loaded: Option<&Arc<Plugin>>, live: bool) -> PluginVersion {
    let digest = version.digest();
    let loaded = loaded.filter(|loaded| loaded.digest == digest);
    let upload = entry.upload(&digest).map(|kept| UploadReport {
        loaded_unix_seconds: kept.loaded_unix_seconds,
        by: kept.by.clone(),
        size_bytes: kept.size_bytes,
        grants: kept.grants.clone(),
        conformance: kept.conformance.clone(),
    });
    PluginVersion {
        version: loaded.map_or_else(|| version.version(), |loaded| loaded.version.clone()),
        source: version.source(),
        live,
        upload,
        digest,
    }
}
