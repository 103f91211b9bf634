use std::sync::Arc;

use super::entry::PluginEntry;
use super::error::PluginError;
use super::signature::Component;
use crate::control::beside::beside;
use crate::control::rollout::{Prepared, Wanted, check_schemas, missing_roles};
use crate::control::state::Control;
use crate::plugin::Plugin;

impl Control {
    /// Makes the live version of an entry live on all workers, and has the store keep it.
    pub(super) async fn roll_out(
        self: &Arc<Self>,
        plugin: &Arc<Plugin>,
        entry: PluginEntry,
        component: Option<Component>,
    ) -> Result<(), PluginError> {
        let making = {
            let (control, plugin, entry) = (self.clone(), plugin.clone(), entry.clone());
            beside("preparing the plugin", move || control.prepare_plugin(&plugin, entry))
        };
        let prepared = making.await??;
        self.keep(&plugin.name, &entry, component).await?;
        self.commit(prepared, None).await.map_err(|_| PluginError::WorkerGone)?;
        Ok(())
    }

    /// Prepares for the configuration that is live with another version of a plugin: new instances for those policies, while
    /// all others live on. Nothing is live yet.
    pub(super) fn prepare_plugin(&self, plugin: &Arc<Plugin>, entry: PluginEntry) -> Result<Prepared, PluginError> {
        let wanted = {
            let state = self.lock();
            let mut plugins = state.plugins.clone();
            plugins.insert(plugin.name.clone(), entry);
            let live = |name: &Arc<str>| Some((name.clone(), plugins.get(name)?.live.clone()?));
            let uses = state.uses.clone();
            Wanted {
                config: state.versions.live().map(|version| version.config.clone()).ok_or(PluginError::NotStarted)?,
                live: uses.plugins().keys().filter_map(live).collect(),
                plugins,
                uses,
                clusters: state.clusters.clone(),
            }
        };
        let roles = wanted.uses.plugins().remove(&plugin.name).unwrap_or_default();
        let mut mistakes = missing_roles(plugin, &roles);
        for uses in [&wanted.uses.data, &wanted.uses.control] {
            mistakes.extend(uses.get(&plugin.name).into_iter().flat_map(|policies| check_schemas(plugin, policies)));
        }
        if !mistakes.is_empty() {
            return Err(mistakes.into());
        }
        Ok(self.make(wanted)?)
    }
}
