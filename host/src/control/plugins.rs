use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_conformance::{Selection, Settings, Verdict};
use tokio::sync::oneshot;

use super::apply::{missing_roles, preparing, sets};
use super::build::{Builder, CONTROL, Mistake, check_schemas};
use super::state::Control;
use crate::builtin;
use crate::config;
use crate::conformance::Component;
use crate::plugin::{Engine, Grants, Instance, Limits, LoadError, Plugin, PolicyConfig, Services, Source};
use crate::worker::Command;

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
            let (mut entry, name) = (entry, name.clone());
            tokio::task::spawn_blocking(move || {
                // The built-in version is what a rollback of the first upload goes back to.
                if entry.is_built_in() {
                    entry.live(&control.engine, &control.services).map_err(LoadError::Start)?;
                }
                let plugin = entry.load(&control.engine, &control.services, &name, &bytes, Source::Upload)?;
                let plugin = Arc::new(plugin);
                let made = control.make_for_all(&plugin)?;
                control.hold_against(&plugin, conformance)?;
                Ok::<_, PluginError>((entry, plugin, made))
            })
        };
        let (mut entry, plugin, made) = loading.await.map_err(|_| PluginError::WorkerGone)??;
        self.swap(made).await?;
        entry.put(plugin.clone());
        self.lock().plugins.insert(name.clone(), entry);
        tracing::info!(target: "audit", plugin = &*name, version = plugin.version, digest = plugin.digest, "plugin is live");
        Ok(plugin)
    }

    /// Makes the version live again that was live before the last change. The one that was live can be gone back to.
    pub async fn roll_back_plugin(self: &Arc<Self>, name: &str) -> Result<Arc<Plugin>, PluginError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut entry = self.lock().plugins.get(name).cloned().ok_or_else(|| PluginError::Unknown(name.to_owned()))?;
        let plugin = entry.earlier.pop_back().ok_or_else(|| PluginError::NothingEarlier(name.to_owned()))?;
        plugin.breaker.release();
        let control = self.clone();
        let making = {
            let plugin = plugin.clone();
            tokio::task::spawn_blocking(move || control.make_for_all(&plugin))
        };
        let made = making.await.map_err(|_| PluginError::WorkerGone)??;
        self.swap(made).await?;
        let undone = entry.live.replace(plugin.clone());
        entry.earlier.extend(undone);
        self.lock().plugins.insert(name.into(), entry);
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

    /// Instances of a version for everyone who uses the plugin, with all policies. Nothing is live yet.
    fn make_for_all(&self, plugin: &Arc<Plugin>) -> Result<Made, PluginError> {
        let (uses, endpoints) = {
            let state = self.lock();
            (state.uses.clone(), sets(&state.clusters))
        };
        let roles = uses.plugins().remove(&plugin.name).unwrap_or_default();
        let data = uses.data.get(&plugin.name).map(Vec::as_slice).unwrap_or_default();
        let control = uses.control.get(&plugin.name).map(Vec::as_slice).unwrap_or_default();
        let mut mistakes = missing_roles(plugin, &roles);
        mistakes.extend(check_schemas(plugin, data));
        mistakes.extend(check_schemas(plugin, control));
        refuse(mistakes)?;
        let builder = Builder { services: &self.services, endpoints: &endpoints };
        let mut made = Made { workers: Vec::new(), control: None, preparing: Vec::new() };
        if !control.is_empty() {
            made.control = Some(builder.instance(plugin, CONTROL, control).map_err(refusals)?);
        }
        if !data.is_empty() {
            for worker in 0..self.workers.len() as u32 {
                made.workers.push(builder.instance(plugin, worker, data).map_err(refusals)?);
            }
            made.preparing = preparing(&uses, &made.workers);
        }
        Ok(made)
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

    async fn swap(&self, made: Made) -> Result<(), PluginError> {
        if let Some(instance) = made.control {
            let plugin = instance.plugin().name.clone();
            self.evaluation.swap(instance);
            self.tell_of_evaluator(&plugin).await?;
        }
        let mut swapped = Vec::new();
        for (worker, instance) in self.workers.iter().zip(made.workers) {
            let (done, acknowledged) = oneshot::channel();
            let command = Command::Swap(Box::new(instance), done);
            worker.send(command).await.map_err(|_| PluginError::WorkerGone)?;
            swapped.push(acknowledged);
        }
        for acknowledged in swapped {
            acknowledged.await.map_err(|_| PluginError::WorkerGone)?;
        }
        let mut state = self.lock();
        for (cluster, prepares) in made.preparing {
            if let Some(cluster) = state.clusters.get_mut(&cluster) {
                cluster.prepares = prepares;
            }
        }
        Ok(())
    }
}

impl Control {
    /// After another version of an evaluator has become live: brings it up to the endpoints of now, and tells the workers
    /// whether it wants outcomes.
    async fn tell_of_evaluator(&self, plugin: &str) -> Result<(), PluginError> {
        let clusters = self.evaluation.wanting_outcomes(plugin);
        let sets = sets(&self.lock().clusters);
        for (cluster, _) in &clusters {
            if let Some(set) = sets.get(cluster) {
                self.evaluation.set_endpoints(cluster, set);
            }
        }
        for worker in &self.workers {
            let command = Command::TellHealth { clusters: clusters.clone() };
            worker.send(command).await.map_err(|_| PluginError::WorkerGone)?;
        }
        Ok(())
    }
}

/// A version ready to go live: one instance for each worker, and one for the control plane, where it is used there.
struct Made {
    workers: Vec<Instance>,
    control: Option<Instance>,
    /// Clusters that it balances, and whether it prepares for their endpoints.
    preparing: Vec<(Arc<str>, bool)>,
}

fn refuse(mistakes: Vec<Mistake>) -> Result<(), PluginError> {
    if mistakes.is_empty() { Ok(()) } else { Err(refusals(mistakes)) }
}

fn refusals(mistakes: Vec<Mistake>) -> PluginError {
    let refusals =
        mistakes.into_iter().map(|mistake| Refusal { path: mistake.pointer, message: mistake.message }).collect();
    PluginError::Refused(refusals)
}
