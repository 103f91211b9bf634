use std::path::PathBuf;
use std::sync::Arc;

use super::error::PluginError;
use super::loader::Loader;
use super::signature::Component;
use super::store::{KeptVersion, Store};
use crate::config::Conformance;
use crate::plugin::{Grants, Limits, Plugin, Source, digest_of};

/// A version that is to become live.
#[derive(Clone, Debug)]
pub struct Upload {
    pub name: String,
    pub component: Component,
    pub conformance: Conformance,
    /// Who sent it, for the store.
    pub by: String,
}

/// A version in the store that was not loaded yet.
#[derive(Clone, Debug)]
pub(in crate::control) struct Stored {
    pub(super) directory: PathBuf,
    pub(super) version: KeptVersion,
}

/// A version that can be gone back to.
#[derive(Clone, Debug)]
pub(in crate::control) enum Earlier {
    BuiltIn(&'static [u8]),
    Loaded(Arc<Plugin>),
    Stored(Stored),
}

impl Earlier {
    /// For people.
    pub(in crate::control) fn version(&self) -> String {
        match self {
            Self::BuiltIn(_) => "built-in".to_owned(),
            Self::Loaded(plugin) => plugin.version.clone(),
            Self::Stored(stored) => stored.version.version.clone(),
        }
    }

    pub(super) fn is_upload(&self) -> bool {
        match self {
            Self::BuiltIn(_) => false,
            Self::Loaded(plugin) => plugin.source == Source::Upload,
            Self::Stored(_) => true,
        }
    }

    pub(in crate::control) fn digest(&self) -> String {
        match self {
            Self::BuiltIn(bytes) => digest_of(bytes),
            Self::Loaded(plugin) => plugin.digest.clone(),
            Self::Stored(stored) => stored.version.digest.clone(),
        }
    }

    /// Where it came from: `built-in`, `upload`, or a path.
    pub(in crate::control) fn source(&self) -> String {
        match self {
            Self::BuiltIn(_) => Source::BuiltIn.to_string(),
            Self::Loaded(plugin) => plugin.source.to_string(),
            Self::Stored(_) => Source::Upload.to_string(),
        }
    }

    pub(super) fn is(&self, wanted: &str) -> bool {
        match self {
            Self::BuiltIn(bytes) => wanted == "builtin" || digest_of(bytes) == wanted,
            Self::Loaded(plugin) => is_version(plugin, wanted),
            Self::Stored(stored) => stored.version.digest == wanted,
        }
    }

    pub(in crate::control) fn load(self, loader: &Loader, name: &str) -> Result<Arc<Plugin>, PluginError> {
        match self {
            Self::BuiltIn(bytes) => loader.built_in(name, bytes),
            Self::Loaded(plugin) => Ok(plugin),
            Self::Stored(stored) => stored.load(loader, name),
        }
    }
}

pub(super) fn is_version(plugin: &Plugin, wanted: &str) -> bool {
    plugin.digest == wanted || (wanted == "builtin" && plugin.source == Source::BuiltIn)
}

impl Stored {
    pub(super) fn load(&self, loader: &Loader, name: &str) -> Result<Arc<Plugin>, PluginError> {
        let component = Store::read(&self.directory, &self.version.digest)?;
        let (grants, limits) = terms(&self.version);
        loader.load(name, &component, Source::Upload, grants, limits)
    }
}

/// What a version that is kept may import, and what it may use.
pub(super) fn terms(version: &KeptVersion) -> (Grants, Limits) {
    let limits = Limits { memory_bytes: version.memory_bytes, ..Limits::default() };
    (Grants::new(version.grants.iter().cloned()), limits)
}
