use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::error::PluginError;
use super::signature::{Component, TrustedKeys};
use crate::plugin::{Engine, Grants, Limits, Plugin, Services, Source, digest_of};

/// Plugins that were compiled lately, for whoever needs the same again: looking at a configuration is done before anybody
/// waits, and preparing it finds here what that has compiled.
const RECENT: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Compiles plugins that may be loaded, and has those at hand that were compiled lately.
#[derive(Clone, Debug)]
pub(in crate::control) struct Loader {
    engine: Engine,
    services: Arc<Services>,
    pub(in crate::control) keys: TrustedKeys,
    recent: Arc<Mutex<LruCache<String, Arc<Plugin>>>>,
}

impl Loader {
    pub(in crate::control) fn new(engine: Engine, services: Arc<Services>, keys: TrustedKeys) -> Self {
        Self { engine, services, keys, recent: Arc::new(Mutex::new(LruCache::new(RECENT))) }
    }

    pub(super) fn load(
        &self,
        name: &str,
        component: &Component,
        source: Source,
        grants: Grants,
        limits: Limits,
    ) -> Result<Arc<Plugin>, PluginError> {
        if source != Source::BuiltIn {
            self.keys.check(component)?;
        }
        let bytes = &component.bytes;
        let key = format!("{name} {} {source} {grants:?} {limits:?}", digest_of(bytes));
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = recent().get(&key) {
            return Ok(plugin.clone());
        }
        let plugin = Arc::new(Plugin::load(&self.engine, &self.services, Some(name), bytes, source, grants, limits)?);
        recent().put(key, plugin.clone());
        Ok(plugin)
    }

    pub(super) fn built_in(&self, name: &str, bytes: &[u8]) -> Result<Arc<Plugin>, PluginError> {
        self.load(name, &Component::unsigned(bytes), Source::BuiltIn, Grants::default(), Limits::default())
    }
}
