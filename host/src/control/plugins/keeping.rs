use std::path::Path;
use std::sync::{Arc, PoisonError};

use super::entry::PluginEntry;
use super::error::PluginError;
use super::signature::Component;
use super::store::Store;
use crate::config::Conformance;
use crate::control::beside::beside;
use crate::control::rollout::Uses;
use crate::control::state::Control;

impl Control {
    /// Has the store keep what is known under a name, and this component, if there is a store.
    pub(super) async fn keep(
        self: &Arc<Self>,
        name: &str,
        entry: &PluginEntry,
        component: Option<Component>,
    ) -> Result<(), PluginError> {
        let (control, name, kept) = (self.clone(), name.to_owned(), entry.kept());
        let keeping = beside("keeping the plugin", move || {
            let mut store = control.store.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(store) = &mut *store else { return Ok(()) };
            let sound = control.gate.sound();
            let done = match (kept.live.clone(), &component) {
                (Some(digest), Some(component)) => store.add((&digest, component), &name, kept, sound),
                _ => store.keep(&name, Some(kept), sound),
            };
            match done {
                Err(error) if !store.is_asked_for => {
                    tracing::warn!(plugin = name, "the uploaded plugin is live, but gone at the next start: {error}");
                    Ok(())
                }
                done => done,
            }
        });
        Ok(keeping.await??)
    }

    /// Opens the store, and takes over what it has kept. What is damaged is told; it stops nothing that does not need it.
    pub fn open_store(&self, directory: &Path, is_asked_for: bool) {
        let store = match Store::open(directory, is_asked_for) {
            Ok(store) => store,
            Err(error) => {
                tracing::error!("{error}; uploaded plugins are neither there nor kept");
                return;
            }
        };
        if let Some(trouble) = store.trouble() {
            tracing::error!("{trouble}");
        }
        self.gate.remember(store.judged().iter().cloned());
        {
            let mut state = self.lock();
            for (name, kept) in store.plugins() {
                let exempt = kept.versions.iter().filter(|version| version.conformance == Conformance::Off.as_str());
                exempt.for_each(|version| self.gate.exempt(&version.digest));
                state.plugins.entry(name.as_str().into()).or_default().take_over(directory, kept);
            }
        }
        for (name, kept) in store.plugins() {
            for version in &kept.versions {
                let read = Store::read(directory, &version.digest).map_err(PluginError::from);
                if let Err(error) = read.and_then(|component| Ok(self.loader.keys.check(&component)?)) {
                    tracing::error!(
                        plugin = name,
                        digest = version.digest,
                        "an uploaded version cannot be loaded: {error}"
                    );
                }
            }
        }
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
    }

    /// Puts the store in order, for the process that serves.
    pub fn tidy_store(&self) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        for done in store.iter_mut().flat_map(Store::tidy) {
            tracing::warn!("plugin store: {done}");
        }
    }

    /// Plugins that a configuration uses in a version that would not be there after a restart.
    pub(in crate::control) fn not_kept(&self, uses: &Uses) -> Vec<String> {
        let state = self.lock();
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = |name: &Arc<str>| {
            let digest = state.plugins.get(name).and_then(PluginEntry::uploaded);
            digest.is_some_and(|digest| store.as_ref().is_none_or(|store| !store.keeps_live(name, digest)))
        };
        uses.plugins().into_keys().filter(is_lost).map(|name| name.to_string()).collect()
    }

    /// Whether the live version of a plugin is there after a restart: all are but uploads that are not in the store.
    pub(in crate::control) fn is_kept(&self, name: &str, entry: &PluginEntry) -> bool {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        entry.uploaded().is_none_or(|digest| store.as_ref().is_some_and(|store| store.keeps_live(name, digest)))
    }
}
