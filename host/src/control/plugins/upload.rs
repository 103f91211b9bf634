use std::sync::Arc;
use std::time::SystemTime;

use super::entry::PluginEntry;
use super::error::PluginError;
use super::gate::Judgement;
use super::store::KeptVersion;
use super::version::{Upload, is_version};
use crate::config::Conformance;
use crate::control::beside::beside;
use crate::control::report::PluginReport;
use crate::control::state::Control;
use crate::plugin::{Plugin, PolicyConfig, Source};

/// How often an upload is looked at anew when the configuration changes meanwhile.
const TRIES: usize = 3;

impl Control {
    /// Makes a version of a plugin live wherever its name is used: on all workers, or on none. Looking at it takes as long
    /// as it takes, and holds nobody up.
    pub async fn load_plugin(self: &Arc<Self>, upload: Upload) -> Result<(), PluginError> {
        self.load_plugin_if(upload, |_| Ok(())).await
    }

    /// The same, unless `is_wanted` says at the last moment that it is not wanted any more.
    pub(super) async fn load_plugin_if(
        self: &Arc<Self>,
        upload: Upload,
        is_wanted: impl Fn(&Self) -> Result<(), PluginError>,
    ) -> Result<(), PluginError> {
        if !Plugin::is_name(&upload.name) {
            return Err(PluginError::BadName);
        }
        for _ in 0..TRIES {
            let looking = {
                let (control, upload) = (self.clone(), upload.clone());
                beside("looking at the plugin", move || control.look_at_upload(&upload))
            };
            let looked_at = looking.await??;
            let _one_at_a_time = self.changing.lock().await;
            is_wanted(self)?;
            if self.is_outdated(&looked_at) {
                continue;
            }
            return self.go_live(&upload, looked_at).await;
        }
        Err(PluginError::Busy)
    }

    /// Looks at a version as [`Self::load_plugin`] does, and changes nothing. Answers how the plugin would be.
    pub async fn dry_run_plugin(self: &Arc<Self>, upload: Upload) -> Result<PluginReport, PluginError> {
        if !Plugin::is_name(&upload.name) {
            return Err(PluginError::BadName);
        }
        let control = self.clone();
        let looking = beside("looking at the plugin", move || control.look_at_upload(&upload));
        let LookedAt { mut entry, plugin, judgement, .. } = looking.await??;
        entry.put(plugin.clone());
        entry.judgement = Some(Arc::new(judgement));
        Ok(self.plugin_report(&plugin.name, &entry))
    }

    /// Looks at a version as [`Self::load_plugin`] does, for its shadow. Should the configuration change meanwhile, it shows when
    /// its policies are created.
    pub(super) async fn look_at_shadow(self: &Arc<Self>, upload: &Upload) -> Result<Arc<Plugin>, PluginError> {
        if !Plugin::is_name(&upload.name) {
            return Err(PluginError::BadName);
        }
        if !self.lock().plugins.contains_key(&*upload.name) {
            return Err(PluginError::Unknown(upload.name.clone()));
        }
        let (control, upload) = (self.clone(), upload.clone());
        let looked_at = beside("looking at the plugin", move || control.look_at_upload(&upload)).await??;
        Ok(looked_at.plugin)
    }

    /// Everything that takes long about an upload. Nothing is changed.
    fn look_at_upload(&self, upload: &Upload) -> Result<LookedAt, PluginError> {
        let entry = self.lock().plugins.get(&*upload.name).cloned().unwrap_or_default();
        let Upload { name, component, conformance, .. } = upload;
        let plugin = self.loader.load(name, component, Source::Upload, entry.grants.clone(), entry.limits.clone())?;
        let uses = self.uses_of(&plugin.name);
        // Whether it can be created as it is used; what is made here is not kept, since much may change meanwhile.
        let mut tried = entry.clone();
        tried.put(plugin.clone());
        self.prepare_plugin(&plugin, tried)?;
        let judgement = self.gate.judge(&self.engine, &plugin, &uses.concat(), *conformance);
        if !judgement.broken.is_empty() {
            return Err(PluginError::Unsound(judgement.broken));
        }
        if judgement.is_cut_short {
            return Err(PluginError::OutOfTime(judgement.left_out()));
        }
        Ok(LookedAt { entry, plugin, judgement, uses })
    }

    /// What a plugin is used for by the configuration that is live, on workers and in the control plane.
    fn uses_of(&self, name: &str) -> [Vec<PolicyConfig>; 2] {
        let state = self.lock();
        [&state.uses.data, &state.uses.control].map(|uses| uses.get(name).cloned().unwrap_or_default())
    }

    /// Whether the configuration has changed something meanwhile that the version was looked at with.
    fn is_outdated(&self, looked_at: &LookedAt) -> bool {
        let LookedAt { entry, plugin, uses, .. } = looked_at;
        let now = self.lock().plugins.get(&plugin.name).cloned().unwrap_or_default();
        (&now.grants, &now.limits) != (&entry.grants, &entry.limits) || self.uses_of(&plugin.name) != *uses
    }

    async fn go_live(self: &Arc<Self>, upload: &Upload, looked_at: LookedAt) -> Result<(), PluginError> {
        let LookedAt { plugin, judgement, .. } = looked_at;
        for untested in &judgement.untested {
            tracing::warn!(plugin = &*plugin.name, "what goes live is not tested as {untested}");
        }
        let mut entry = self.lock().plugins.get(&plugin.name).cloned().unwrap_or_default();
        if upload.conformance == Conformance::Off {
            self.gate.exempt(&plugin.digest);
        }
        let is_live = entry.live.as_ref().is_some_and(|live| is_version(live, &plugin.digest));
        if !is_live {
            entry.put(plugin.clone());
        }
        entry.judgement = Some(Arc::new(judgement));
        entry.uploads.insert(plugin.digest.clone(), kept_version(&plugin, upload));
        if is_live {
            self.keep(&plugin.name, &entry, Some(upload.component.clone())).await?;
            self.lock().plugins.insert(plugin.name.clone(), entry);
        } else {
            self.roll_out(&plugin, entry, Some(upload.component.clone())).await?;
        }
        tracing::info!(
            target: "audit",
            plugin = &*plugin.name,
            version = plugin.version,
            digest = plugin.digest,
            by = upload.by,
            "plugin is live"
        );
        Ok(())
    }
}

/// A version that was looked at, and what it was looked at with.
struct LookedAt {
    entry: PluginEntry,
    plugin: Arc<Plugin>,
    judgement: Judgement,
    /// What it is used for, on workers and in the control plane.
    uses: [Vec<PolicyConfig>; 2],
}

fn kept_version(plugin: &Plugin, upload: &Upload) -> KeptVersion {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    KeptVersion {
        digest: plugin.digest.clone(),
        version: plugin.version.clone(),
        size_bytes: plugin.size_bytes,
        loaded_unix_seconds: now.as_secs(),
        by: upload.by.clone(),
        grants: plugin.grants.names(),
        memory_bytes: plugin.limits.memory_bytes,
        conformance: upload.conformance.as_str().to_owned(),
    }
}
