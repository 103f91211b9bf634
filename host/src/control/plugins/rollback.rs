use std::sync::Arc;

use super::error::PluginError;
use super::version::is_version;
use crate::control::beside::beside;
use crate::control::state::Control;
use crate::telemetry::printable_within;

impl Control {
    /// Makes the version live again that was live before the last change, or one of a digest, or `builtin`. The one that was
    /// live can be gone back to. Asking for what is live already changes nothing.
    pub async fn roll_back_plugin(self: &Arc<Self>, name: &str, to: Option<&str>) -> Result<(), PluginError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut entry = self.lock().plugins.get(name).cloned().ok_or_else(|| PluginError::Unknown(name.to_owned()))?;
        let earlier = match to {
            None => entry.earlier.pop_back().ok_or_else(|| PluginError::NothingEarlier(name.to_owned()))?,
            Some(wanted) if entry.live.as_ref().is_some_and(|live| is_version(live, wanted)) => return Ok(()),
            Some(wanted) => {
                let at = entry.earlier.iter().position(|earlier| earlier.is(wanted));
                at.and_then(|at| entry.earlier.remove(at)).ok_or_else(|| PluginError::NoSuchVersion {
                    name: name.to_owned(),
                    version: printable_within(wanted, 80),
                })?
            }
        };
        let (loader, owned) = (self.loader.clone(), name.to_owned());
        let plugin = beside("loading the plugin", move || earlier.load(&loader, &owned)).await??;
        plugin.breaker.release();
        entry.put(plugin.clone());
        self.roll_out(&plugin, entry, None).await?;
        tracing::info!(target: "audit", plugin = name, version = plugin.version, digest = plugin.digest, "plugin rolled back");
        Ok(())
    }

    /// Lets a quarantined plugin try again.
    pub fn release_plugin(&self, name: &str) -> Result<(), PluginError> {
        let state = self.lock();
        let entry = state.plugins.get(name).ok_or_else(|| PluginError::Unknown(name.to_owned()))?;
        if let Some(live) = &entry.live {
            live.breaker.release();
            tracing::info!(target: "audit", plugin = name, "plugin released from quarantine");
        }
        Ok(())
    }
}
