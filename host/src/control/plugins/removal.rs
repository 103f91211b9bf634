use std::sync::Arc;

use super::error::PluginError;
use super::shadows::ShadowState;
use crate::control::state::Control;
use crate::plugin::Role;

impl Control {
    /// Forgets everything that was uploaded under a name, also on disk. What the configuration uses stays; what is shipped
    /// inside the proxy, or comes from a file of the configuration, is there again.
    pub async fn remove_plugin(self: &Arc<Self>, name: &str) -> Result<(), PluginError> {
        let _one_at_a_time = self.changing.lock().await;
        let (entry, uses) = {
            let state = self.lock();
            let entry = state.plugins.get(name).cloned().ok_or_else(|| PluginError::Unknown(name.to_owned()))?;
            (entry, state.uses.plugins().remove(name).unwrap_or_default())
        };
        let is_built_in = entry.is_built_in();
        if !entry.has_uploads() {
            let from = if is_built_in { "with the proxy" } else { "from a file of the configuration" };
            return Err(PluginError::NothingUploaded { name: name.to_owned(), from });
        }
        if entry.uploaded().is_some() && !uses.is_empty() {
            return Err(PluginError::InUse { name: name.to_owned(), uses: shown(&uses) });
        }
        let is_declared = self.config().is_some_and(|config| config.plugins.iter().any(|plugin| plugin.name == name));
        let entry = entry.without_uploads();
        self.keep(name, &entry, None).await?;
        {
            let mut state = self.lock();
            if is_built_in || is_declared {
                state.plugins.insert(name.into(), entry);
            } else {
                state.plugins.remove(name);
            }
        }
        self.end_shadow(name, ShadowState::Deleted, None);
        tracing::info!(target: "audit", plugin = name, "plugin removed");
        Ok(())
    }
}

/// Roles and places in the configuration, for people.
fn shown(uses: &[(Role, String)]) -> String {
    uses.iter().map(|(role, pointer)| format!("{role} at {pointer}")).collect::<Vec<_>>().join(", ")
}
