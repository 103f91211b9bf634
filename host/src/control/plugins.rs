use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_conformance::{Selection, Settings, Verdict};

use super::apply::{Prepared, Wanted, missing_roles};
use super::build::{Mistake, check_schemas};
use super::state::Control;
use crate::builtin;
use crate::config;
use crate::conformance::Component;
use crate::plugin::{Engine, Grants, Limits, LoadError, Plugin, PolicyConfig, Services, Source};

/// Earlier versions of a plugin that can be gone back to.
const VERSIONS_KEPT: usize = 4;

/// All plugins by name.
pub(super) type PluginEntries = BTreeMap<Arc<str>, PluginEntry>;

/// What is known under one plugin name.
#[derive(Clone, Debug, Default)]
pub(super) struct PluginEntry {
    /// None for a built-in plugin that nobody has used yet: it is compiled when it is first needed.
    pub(super) live: Option<Arc<Plugin>>,
    pub(super) earlier: VecDeque<Arc<Plugin>>,
    built_in: Option<&'static [u8]>,
    /// Digest of the file's bytes when it was last loaded. An upload stays live until the file changes.
    file_digest: Option<String>,
    grants: Grants,
    limits: Limits,
}

/// Why a version of a plugin did not become live. The one that was live still is.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("{0}")]
    Load(#[from] LoadError),
    #[error("plugin name must be of the form [a-z][a-z0-9-]{{0,63}}")]
    BadName,
    #[error("{} of its uses in the configuration do not work with it", .0.len())]
    Refused(Vec<Refusal>),
    #[error("it is not sound, by {}", .0.iter().map(|broken| broken.id).collect::<Vec<_>>().join(", "))]
    Unsound(Vec<Broken>),
    #[error("no plugin of the name `{0}`")]
    Unknown(String),
    #[error("plugin `{0}` has no earlier version")]
    NothingEarlier(String),
    #[error("no configuration is live yet")]
    NotStarted,
    #[error("a worker has ended")]
    WorkerGone,
}

/// A use of a plugin that a new version of it does not serve.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Refusal {
    /// JSON Pointer into the configuration.
    pub path: String,
    pub message: String,
}

/// A property of the conformance suite that a plugin does not have.
#[derive(Clone, Debug)]
pub struct Broken {
    pub id: &'static str,
    /// What was promised, and what came of it.
    pub message: String,
}

/// What a plugin is held against before it goes live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conformance {
    /// What must hold for every plugin of its roles, within about a second.
    #[default]
    Quick,
    /// Everything that `plimsoll plugin test --profile full` does. It takes some seconds, in which no other change is made.
    Full,
    /// Nothing.
    Off,
}

/// After so much time a quick run begins no further property.
const QUICK: Duration = Duration::from_secs(1);

impl PluginError {
    /// Short name for the admin API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Load(error) => error.code(),
            Self::BadName => "bad_name",
            Self::Refused(_) => "refused",
            Self::Unsound(_) => "unsound",
            Self::Unknown(_) => "unknown_plugin",
            Self::NothingEarlier(_) => "nothing_earlier",
            Self::NotStarted => "not_started",
            Self::WorkerGone => "worker_gone",
        }
    }
}

pub(super) fn built_in() -> BTreeMap<Arc<str>, PluginEntry> {
    builtin::PLUGINS
        .iter()
        .map(|(name, bytes)| (Arc::from(*name), PluginEntry { built_in: Some(bytes), ..PluginEntry::default() }))
        .collect()
}

impl PluginEntry {
    /// Brings the entry up to what the configuration declares. The file is loaded when it is new or has changed.
    pub(super) fn declare(
        &mut self,
        engine: &Engine,
        services: &Arc<Services>,
        declared: &config::Plugin,
    ) -> Result<(), String> {
        self.grants = Grants::new(declared.grants.iter().copied());
        self.limits = Limits { memory_bytes: declared.memory_bytes, ..Limits::default() };
        let bytes = read_bounded(&declared.path, self.limits.component_bytes)
            .map_err(|error| format!("reading {} failed: {error}", declared.path.display()))?;
        let digest = Plugin::digest_of(&bytes);
        let unchanged = self.file_digest.as_ref() == Some(&digest);
        let same_terms =
            self.live.as_ref().is_some_and(|live| live.grants == self.grants && live.limits == self.limits);
        if unchanged && same_terms {
            return Ok(());
        }
        let source = Source::File(declared.path.clone());
        let plugin = self
            .load(engine, services, &declared.name, &bytes, source)
            .map_err(|error| format!("plugin `{}` ({}): {error}", declared.name, declared.path.display()))?;
        self.file_digest = Some(digest);
        self.put(Arc::new(plugin));
        Ok(())
    }

    /// The live version; a built-in plugin is compiled at its first use.
    pub(super) fn live(&mut self, engine: &Engine, services: &Arc<Services>) -> Result<Arc<Plugin>, String> {
        if let Some(live) = &self.live {
            return Ok(live.clone());
        }
        let bytes = self.built_in.ok_or("the plugin was declared but never loaded")?;
        let plugin = Plugin::load(engine, services, None, bytes, Source::BuiltIn, Grants::default(), Limits::default())
            .map_err(|error| format!("the built-in plugin does not load: {error}"))?;
        let plugin = Arc::new(plugin);
        self.live = Some(plugin.clone());
        Ok(plugin)
    }

    fn load(
        &self,
        engine: &Engine,
        services: &Arc<Services>,
        name: &str,
        bytes: &[u8],
        source: Source,
    ) -> Result<Plugin, LoadError> {
        Plugin::load(engine, services, Some(name), bytes, source, self.grants.clone(), self.limits.clone())
    }

    fn put(&mut self, plugin: Arc<Plugin>) {
        self.earlier.extend(self.live.replace(plugin));
        while self.earlier.len() > VERSIONS_KEPT {
            self.earlier.pop_front();
        }
    }

    pub(super) fn is_built_in(&self) -> bool {
        self.built_in.is_some()
    }
}

fn read_bounded(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Control {
    /// Makes a version of a plugin live wherever its name is used: on all workers, or on none.
    pub async fn load_plugin(
        self: &Arc<Self>,
        name: &str,
        bytes: Vec<u8>,
        conformance: Conformance,
    ) -> Result<Arc<Plugin>, PluginError> {
        if !Plugin::is_name(name) {
            return Err(PluginError::BadName);
        }
        let _one_at_a_time = self.changing.lock().await;
        let entry = self.lock().plugins.get(name).cloned().unwrap_or_default();
        let (control, name) = (self.clone(), Arc::<str>::from(name));
        let loading = {
            let mut entry = entry;
            tokio::task::spawn_blocking(move || {
                // The built-in version is what a rollback of the first upload goes back to.
                if entry.is_built_in() {
                    entry.live(&control.engine, &control.services).map_err(LoadError::Start)?;
                }
                let plugin = entry.load(&control.engine, &control.services, &name, &bytes, Source::Upload)?;
                let plugin = Arc::new(plugin);
                entry.put(plugin.clone());
                let prepared = control.prepare_plugin(&plugin, entry)?;
                control.hold_against(&plugin, conformance)?;
                Ok::<_, PluginError>((plugin, prepared))
            })
        };
        let (plugin, prepared) = loading.await.map_err(|_| PluginError::WorkerGone)??;
        self.commit(prepared, None).await.map_err(|_| PluginError::WorkerGone)?;
        tracing::info!(target: "audit", plugin = &*plugin.name, version = plugin.version, digest = plugin.digest, "plugin is live");
        Ok(plugin)
    }

    /// Makes the version live again that was live before the last change. The one that was live can be gone back to.
    pub async fn roll_back_plugin(self: &Arc<Self>, name: &str) -> Result<Arc<Plugin>, PluginError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut entry = self.lock().plugins.get(name).cloned().ok_or_else(|| PluginError::Unknown(name.to_owned()))?;
        let plugin = entry.earlier.pop_back().ok_or_else(|| PluginError::NothingEarlier(name.to_owned()))?;
        plugin.breaker.release();
        let undone = entry.live.replace(plugin.clone());
        entry.earlier.extend(undone);
        let control = self.clone();
        let making = {
            let plugin = plugin.clone();
            tokio::task::spawn_blocking(move || control.prepare_plugin(&plugin, entry))
        };
        let prepared = making.await.map_err(|_| PluginError::WorkerGone)??;
        self.commit(prepared, None).await.map_err(|_| PluginError::WorkerGone)?;
        tracing::info!(target: "audit", plugin = name, version = plugin.version, digest = plugin.digest, "plugin rolled back");
        Ok(plugin)
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

    /// Prepares for the configuration that is live with another version of a plugin: new instances for those policies, while
    /// all others live on. Nothing is live yet.
    fn prepare_plugin(&self, plugin: &Arc<Plugin>, entry: PluginEntry) -> Result<Prepared, PluginError> {
        let wanted = {
            let state = self.lock();
            let mut plugins = state.plugins.clone();
            plugins.insert(plugin.name.clone(), entry);
            let live = |name: &Arc<str>| Some((name.clone(), plugins.get(name)?.live.clone()?));
            let uses = state.uses.clone();
            Wanted {
                config: state.versions.back().map(|version| version.config.clone()).ok_or(PluginError::NotStarted)?,
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
        refuse(mistakes)?;
        self.make(wanted).map_err(refusals)
    }

    /// Holds a version against the conformance suite, as it is configured.
    fn hold_against(&self, plugin: &Arc<Plugin>, conformance: Conformance) -> Result<(), PluginError> {
        let (selection, time) = match conformance {
            Conformance::Quick => (Selection::Quick, Some(QUICK)),
            Conformance::Full => (Selection::Full, None),
            Conformance::Off => return Ok(()),
        };
        let uses = {
            let state = self.lock();
            let of = |map: &BTreeMap<Arc<str>, Vec<PolicyConfig>>| map.get(&plugin.name).cloned().unwrap_or_default();
            [of(&state.uses.data), of(&state.uses.control)].concat()
        };
        let settings = Settings { selection, time, ..Settings::default() };
        let report = Component::new(self.engine.clone(), plugin.clone(), uses).run(&settings);
        let broken = report.properties.into_iter().filter(|property| property.verdict == Verdict::Broken);
        let broken: Vec<Broken> = broken
            .map(|property| {
                let how = property.reason.unwrap_or_default();
                Broken { id: property.id, message: format!("{}: {}: {how}", property.id, property.promise) }
            })
            .collect();
        if broken.is_empty() { Ok(()) } else { Err(PluginError::Unsound(broken)) }
    }
}

fn refuse(mistakes: Vec<Mistake>) -> Result<(), PluginError> {
    if mistakes.is_empty() { Ok(()) } else { Err(refusals(mistakes)) }
}

fn refusals(mistakes: Vec<Mistake>) -> PluginError {
    let refusals =
        mistakes.into_iter().map(|mistake| Refusal { path: mistake.pointer, message: mistake.message }).collect();
    PluginError::Refused(refusals)
}
