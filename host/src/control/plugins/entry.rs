use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use super::gate::Judgement;
use super::loader::Loader;
use super::signature::Component;
use super::store::{Kept, KeptVersion};
use super::version::{Earlier, Stored, terms};
use crate::builtin;
use crate::config;
use crate::io::read_bounded;
use crate::plugin::{Grants, Limits, Plugin, Role, Source, digest_of};

/// Earlier versions of a plugin that can be gone back to.
const VERSIONS_KEPT: usize = 4;

/// All plugins by name.
pub(in crate::control) type PluginEntries = BTreeMap<Arc<str>, PluginEntry>;

/// What is known under one plugin name.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct PluginEntry {
    /// None for what nobody has used yet, built-in or kept in the store: it is compiled when it is first needed.
    pub(in crate::control) live: Option<Arc<Plugin>>,
    /// The version of the store that is to be live.
    pub(super) stored: Option<Stored>,
    /// Oldest first.
    pub(in crate::control) earlier: VecDeque<Earlier>,
    /// What is kept of versions that were uploaded, by digest.
    pub(super) uploads: BTreeMap<String, KeptVersion>,
    /// What came of looking at the live version.
    pub(in crate::control) judgement: Option<Arc<Judgement>>,
    pub(super) built_in: Option<&'static [u8]>,
    /// Digest of the file's bytes when it was last loaded. An upload stays live until the file changes.
    file_digest: Option<String>,
    pub(super) grants: Grants,
    pub(super) limits: Limits,
}

impl PluginEntry {
    /// Brings the entry up to what the configuration declares. The file is loaded when it is new or has changed.
    pub(in crate::control) fn declare(&mut self, loader: &Loader, declared: &config::Plugin) -> Result<(), String> {
        let grants = Grants::new(declared.grants.iter().copied());
        let limits = Limits { memory_bytes: declared.memory_bytes, ..Limits::default() };
        let bytes = read_bounded(&declared.path, limits.component_bytes as u64)
            .map_err(|error| format!("reading {} failed: {error}", declared.path.display()))?;
        let digest = digest_of(&bytes);
        let is_unchanged = self.file_digest.as_ref() == Some(&digest);
        let has_same_terms = match (&self.live, &self.stored) {
            (Some(live), _) => live.grants == grants && live.limits == limits,
            (None, Some(stored)) => terms(&stored.version) == (grants.clone(), limits.clone()),
            (None, None) => false,
        };
        (self.grants, self.limits) = (grants.clone(), limits.clone());
        if is_unchanged && has_same_terms {
            return Ok(());
        }
        let component = Component::beside(&declared.path, bytes)
            .map_err(|error| format!("reading the signature of {} failed: {error}", declared.path.display()))?;
        let source = Source::File(declared.path.clone());
        let plugin = loader
            .load(&declared.name, &component, source, grants, limits)
            .map_err(|error| format!("plugin `{}` ({}): {error}", declared.name, declared.path.display()))?;
        self.file_digest = Some(digest);
        self.put(plugin);
        Ok(())
    }

    /// The live version; one that was not needed before is compiled now.
    pub(in crate::control) fn live(&mut self, loader: &Loader, name: &str) -> Result<Arc<Plugin>, String> {
        if let Some(live) = &self.live {
            return Ok(live.clone());
        }
        let plugin = match (&self.stored, self.built_in) {
            (Some(stored), _) => {
                stored.load(loader, name).map_err(|error| format!("the uploaded version does not load: {error}"))?
            }
            (None, Some(bytes)) => {
                loader.built_in(name, bytes).map_err(|error| format!("the built-in plugin does not load: {error}"))?
            }
            (None, None) => return Err("the plugin was declared but never loaded".to_owned()),
        };
        self.live = Some(plugin.clone());
        Ok(plugin)
    }

    /// Whether it may have a role, as far as is known without loading it.
    pub(in crate::control) fn may_be(&self, role: Role, name: &str) -> bool {
        match &self.live {
            Some(live) => live.roles.contains(&role),
            None if self.stored.is_some() => true,
            None => builtin::ROLES.contains(&(name, role.as_str())),
        }
    }

    /// Digest of the live version, where it was uploaded.
    pub(super) fn uploaded(&self) -> Option<&str> {
        match (&self.live, &self.stored) {
            (Some(live), _) => (live.source == Source::Upload).then_some(&live.digest),
            (None, stored) => stored.as_ref().map(|stored| stored.version.digest.as_str()),
        }
    }

    pub(super) fn put(&mut self, plugin: Arc<Plugin>) {
        let before = match (self.live.take(), self.stored.take(), self.built_in) {
            (Some(live), _, _) => Some(Earlier::Loaded(live)),
            (None, Some(stored), _) => Some(Earlier::Stored(stored)),
            (None, None, bytes) => bytes.map(Earlier::BuiltIn),
        };
        // The same bytes again are the same version.
        self.earlier.retain(|earlier| !earlier.is(&plugin.digest));
        self.earlier.extend(before.filter(|before| !before.is(&plugin.digest)));
        while self.earlier.len() > VERSIONS_KEPT {
            self.earlier.pop_front();
        }
        self.live = Some(plugin);
        self.judgement = None;
    }

    pub(super) fn is_built_in(&self) -> bool {
        self.built_in.is_some()
    }

    pub(super) fn has_uploads(&self) -> bool {
        !self.uploads.is_empty()
    }

    /// What is left of it without anything that was uploaded. A file of the configuration is loaded again when it is needed.
    pub(super) fn without_uploads(mut self) -> Self {
        let is_live = self.uploaded().is_some();
        self.stored = None;
        self.uploads.clear();
        self.earlier.retain(|earlier| !earlier.is_upload());
        if is_live {
            (self.live, self.judgement) = (None, None);
            // One of these is the live one again.
            self.earlier.clear();
        }
        self
    }

    /// All versions, the live one first, then newest first.
    pub(in crate::control) fn versions(&self) -> Vec<Earlier> {
        let live = match (&self.live, &self.stored, self.built_in) {
            (Some(live), _, _) => Some(Earlier::Loaded(live.clone())),
            (None, Some(stored), _) => Some(Earlier::Stored(stored.clone())),
            (None, None, bytes) => bytes.map(Earlier::BuiltIn),
        };
        live.into_iter().chain(self.earlier.iter().rev().cloned()).collect()
    }

    /// What is kept of a version, where it was uploaded.
    pub(in crate::control) fn upload(&self, digest: &str) -> Option<&KeptVersion> {
        self.uploads.get(digest)
    }

    /// What the store is to keep of it.
    pub(super) fn kept(&self) -> Kept {
        let earlier = self.earlier.iter().filter_map(|earlier| match earlier {
            Earlier::BuiltIn(_) => None,
            Earlier::Loaded(plugin) => self.uploads.get(&plugin.digest),
            Earlier::Stored(stored) => Some(&stored.version),
        });
        let live = self.uploaded();
        let versions = earlier.chain(live.and_then(|digest| self.uploads.get(digest))).cloned().collect();
        Kept { live: live.map(ToOwned::to_owned), over_file: self.file_digest.clone(), versions }
    }

    /// Takes over what the store has kept.
    pub(super) fn take_over(&mut self, directory: &Path, kept: &Kept) {
        self.earlier = self.built_in.map(Earlier::BuiltIn).into_iter().collect();
        self.file_digest.clone_from(&kept.over_file);
        for version in &kept.versions {
            let stored = Stored { directory: directory.to_owned(), version: version.clone() };
            self.uploads.insert(version.digest.clone(), version.clone());
            if kept.live.as_ref() == Some(&version.digest) {
                (self.grants, self.limits) = terms(version);
                self.stored = Some(stored);
            } else {
                self.earlier.push_back(Earlier::Stored(stored));
            }
        }
        if self.stored.is_none() && self.built_in.is_some() {
            // It is the live one.
            self.earlier.retain(|earlier| !matches!(earlier, Earlier::BuiltIn(_)));
        }
    }
}

/// Entries of all plugins that are shipped inside the proxy.
pub(in crate::control) fn built_in() -> PluginEntries {
    builtin::PLUGINS
        .iter()
        .map(|(name, bytes)| (Arc::from(*name), PluginEntry { built_in: Some(bytes), ..PluginEntry::default() }))
        .collect()
}
