use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use lru::LruCache;

use super::apply::{Prepared, Wanted, missing_roles};
use super::build::{Mistake, Uses, check_schemas};
use super::gate::{Broken, Judgement};
use super::state::Control;
use super::store::{Kept, KeptVersion, Store, StoreError};
use crate::builtin;
use crate::config::{self, Config, Conformance};
use crate::plugin::{Engine, Grants, Limits, LoadError, Plugin, PolicyConfig, Services, Source};
use crate::telemetry::printable_within;

/// Earlier versions of a plugin that can be gone back to.
const VERSIONS_KEPT: usize = 4;
/// Plugins that were compiled lately, for whoever needs the same again: looking at a configuration is done before anybody
/// waits, and preparing it finds here what that has compiled.
const RECENT: NonZeroUsize = NonZeroUsize::new(32).unwrap();
/// How often an upload is looked at anew when the configuration changes meanwhile.
const TRIES: usize = 3;

/// All plugins by name.
pub(super) type PluginEntries = BTreeMap<Arc<str>, PluginEntry>;

/// What is known under one plugin name.
#[derive(Clone, Debug, Default)]
pub(super) struct PluginEntry {
    /// None for what nobody has used yet, built-in or kept in the store: it is compiled when it is first needed.
    pub(super) live: Option<Arc<Plugin>>,
    /// The version of the store that is to be live.
    stored: Option<Stored>,
    /// Oldest first.
    pub(super) earlier: VecDeque<Earlier>,
    /// What is kept of versions that were uploaded, by digest.
    uploads: BTreeMap<String, KeptVersion>,
    /// What came of looking at the live version.
    pub(super) judgement: Option<Arc<Judgement>>,
    built_in: Option<&'static [u8]>,
    /// Digest of the file's bytes when it was last loaded. An upload stays live until the file changes.
    file_digest: Option<String>,
    grants: Grants,
    limits: Limits,
}

/// A version in the store that was not loaded yet.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    directory: PathBuf,
    version: KeptVersion,
}

/// A version that can be gone back to.
#[derive(Clone, Debug)]
pub(super) enum Earlier {
    BuiltIn(&'static [u8]),
    Loaded(Arc<Plugin>),
    Stored(Stored),
}

impl Earlier {
    /// For people.
    pub(super) fn version(&self) -> String {
        match self {
            Self::BuiltIn(_) => "built-in".to_owned(),
            Self::Loaded(plugin) => plugin.version.clone(),
            Self::Stored(stored) => stored.version.version.clone(),
        }
    }

    fn is(&self, wanted: &str) -> bool {
        match self {
            Self::BuiltIn(bytes) => wanted == "builtin" || Plugin::digest_of(bytes) == wanted,
            Self::Loaded(plugin) => is_version(plugin, wanted),
            Self::Stored(stored) => stored.version.digest == wanted,
        }
    }

    fn load(self, loader: &Loader, name: &str) -> Result<Arc<Plugin>, PluginError> {
        match self {
            Self::BuiltIn(bytes) => Ok(loader.built_in(name, bytes)?),
            Self::Loaded(plugin) => Ok(plugin),
            Self::Stored(stored) => stored.load(loader, name),
        }
    }
}

fn is_version(plugin: &Plugin, wanted: &str) -> bool {
    plugin.digest == wanted || (wanted == "builtin" && plugin.source == Source::BuiltIn)
}

impl Stored {
    fn load(&self, loader: &Loader, name: &str) -> Result<Arc<Plugin>, PluginError> {
        let bytes = Store::read(&self.directory, &self.version.digest)?;
        let (grants, limits) = terms(&self.version);
        Ok(loader.load(name, &bytes, Source::Upload, grants, limits)?)
    }
}

fn terms(version: &KeptVersion) -> (Grants, Limits) {
    let limits = Limits { memory_bytes: version.memory_bytes, ..Limits::default() };
    (Grants::new(version.grants.iter().cloned()), limits)
}

/// Compiles plugins, and has those at hand that were compiled lately.
#[derive(Clone, Debug)]
pub(super) struct Loader {
    engine: Engine,
    services: Arc<Services>,
    recent: Arc<Mutex<LruCache<String, Arc<Plugin>>>>,
}

impl Loader {
    pub(super) fn new(engine: Engine, services: Arc<Services>) -> Self {
        Self { engine, services, recent: Arc::new(Mutex::new(LruCache::new(RECENT))) }
    }

    fn load(
        &self,
        name: &str,
        bytes: &[u8],
        source: Source,
        grants: Grants,
        limits: Limits,
    ) -> Result<Arc<Plugin>, LoadError> {
        let key = format!("{name} {} {source} {grants:?} {limits:?}", Plugin::digest_of(bytes));
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = recent().get(&key) {
            return Ok(plugin.clone());
        }
        let plugin = Arc::new(Plugin::load(&self.engine, &self.services, Some(name), bytes, source, grants, limits)?);
        recent().put(key, plugin.clone());
        Ok(plugin)
    }

    fn built_in(&self, name: &str, bytes: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        self.load(name, bytes, Source::BuiltIn, Grants::default(), Limits::default())
    }
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
    #[error("it could not be looked at whole in time, without {0}; `conformance=off` takes it all the same")]
    OutOfTime(String),
    #[error("{0}, so it would be gone at the next start; `plugins_dir` says where uploads are kept")]
    NotKept(String),
    #[error("the configuration changes all the time; nothing has changed here, try again")]
    Busy,
    #[error("no plugin of the name `{0}`")]
    Unknown(String),
    #[error("plugin `{0}` has no earlier version")]
    NothingEarlier(String),
    #[error("no configuration is live yet")]
    NotStarted,
    #[error("plugin `{name}` has no version `{version}` to go back to")]
    NoSuchVersion { name: String, version: String },
    #[error("a worker has ended")]
    WorkerGone,
}

impl From<StoreError> for PluginError {
    fn from(error: StoreError) -> Self {
        Self::NotKept(error.to_string())
    }
}

/// A use of a plugin that a new version of it does not serve.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Refusal {
    /// JSON Pointer into the configuration.
    pub path: String,
    pub message: String,
}

/// A version that is to become live.
#[derive(Clone, Debug)]
pub struct Upload {
    pub name: String,
    pub bytes: Arc<[u8]>,
    pub conformance: Conformance,
    /// Who sent it, for the store.
    pub by: String,
}

impl PluginError {
    /// Short name for the admin API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Load(error) => error.code(),
            Self::BadName => "bad_name",
            Self::Refused(_) => "refused",
            Self::Unsound(_) => "unsound",
            Self::OutOfTime(_) => "out_of_time",
            Self::NotKept(_) => "not_kept",
            Self::Busy => "busy",
            Self::Unknown(_) => "unknown_plugin",
            Self::NothingEarlier(_) => "nothing_earlier",
            Self::NotStarted => "not_started",
            Self::NoSuchVersion { .. } => "no_such_version",
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
    pub(super) fn declare(&mut self, loader: &Loader, declared: &config::Plugin) -> Result<(), String> {
        let grants = Grants::new(declared.grants.iter().copied());
        let limits = Limits { memory_bytes: declared.memory_bytes, ..Limits::default() };
        let bytes = read_bounded(&declared.path, limits.component_bytes)
            .map_err(|error| format!("reading {} failed: {error}", declared.path.display()))?;
        let digest = Plugin::digest_of(&bytes);
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
        let source = Source::File(declared.path.clone());
        let plugin = loader
            .load(&declared.name, &bytes, source, grants, limits)
            .map_err(|error| format!("plugin `{}` ({}): {error}", declared.name, declared.path.display()))?;
        self.file_digest = Some(digest);
        self.put(plugin);
        Ok(())
    }

    /// The live version; one that was not needed before is compiled now.
    pub(super) fn live(&mut self, loader: &Loader, name: &str) -> Result<Arc<Plugin>, String> {
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

    /// Digest of the live version, where it was uploaded.
    pub(super) fn uploaded(&self) -> Option<&str> {
        match (&self.live, &self.stored) {
            (Some(live), _) => (live.source == Source::Upload).then_some(&live.digest),
            (None, stored) => stored.as_ref().map(|stored| stored.version.digest.as_str()),
        }
    }

    fn put(&mut self, plugin: Arc<Plugin>) {
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

    /// What the store is to keep of it.
    fn kept(&self) -> Kept {
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
    fn take_over(&mut self, directory: &Path, kept: &Kept) {
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

fn read_bounded(path: &Path, limit: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Control {
    /// Judges what a configuration uses and was not judged for it yet, before anything waits for the answer. What does not
    /// load is for the preparation to tell.
    pub(super) fn look_at(&self, config: &Config, origin: &str) -> Vec<Mistake> {
        let uses = Uses::of(config);
        let mut mistakes = Vec::new();
        let (_, live) = self.plugins_for(config, &uses, &mut Vec::new());
        for (name, plugin) in live {
            let declared = config.plugins.iter().find(|declared| *declared.name == *name);
            let conformance = declared.map_or(Conformance::Quick, |declared| declared.conformance);
            if plugin.source == Source::BuiltIn
                || conformance == Conformance::Off
                || self.gate.is_exempt(&plugin.digest)
            {
                continue;
            }
            let of = |map: &BTreeMap<Arc<str>, Vec<PolicyConfig>>| map.get(&name).cloned().unwrap_or_default();
            let used = [of(&uses.data), of(&uses.control)].concat();
            let judgement = self.gate.judge(&self.engine, &plugin, &used, conformance);
            let pointer = used.first().map(|policy| policy.pointer.clone()).unwrap_or_default();
            for Broken { message, .. } in &judgement.broken {
                let message = format!("plugin `{name}` is not sound: {message}");
                mistakes.push(Mistake { pointer: pointer.clone(), message });
            }
            if judgement.is_cut_short && judgement.broken.is_empty() {
                let left = judgement.left_out();
                if origin == "start" {
                    tracing::warn!(
                        target: "audit",
                        plugin = &*name,
                        "THE PLUGIN WAS NOT LOOKED AT WHOLE, since time ran out, and is live all the same; left out: {left}"
                    );
                } else {
                    let message = format!("plugin `{name}` could not be looked at whole in time; left out: {left}");
                    mistakes.push(Mistake { pointer, message });
                }
            }
        }
        mistakes
    }

    /// Makes a version of a plugin live wherever its name is used: on all workers, or on none. Looking at it takes as long
    /// as it takes, and holds nobody up.
    pub async fn load_plugin(self: &Arc<Self>, upload: Upload) -> Result<(), PluginError> {
        if !Plugin::is_name(&upload.name) {
            return Err(PluginError::BadName);
        }
        for _ in 0..TRIES {
            let looking = {
                let (control, upload) = (self.clone(), upload.clone());
                tokio::task::spawn_blocking(move || control.look_at_upload(&upload))
            };
            let looked_at = looking.await.map_err(|_| PluginError::WorkerGone)??;
            let _one_at_a_time = self.changing.lock().await;
            if self.is_outdated(&looked_at) {
                continue;
            }
            return self.go_live(&upload, looked_at).await;
        }
        Err(PluginError::Busy)
    }

    /// Everything that takes long about an upload. Nothing is changed.
    fn look_at_upload(&self, upload: &Upload) -> Result<LookedAt, PluginError> {
        let entry = self.lock().plugins.get(&*upload.name).cloned().unwrap_or_default();
        let Upload { name, bytes, conformance, .. } = upload;
        let plugin = self.loader.load(name, bytes, Source::Upload, entry.grants.clone(), entry.limits.clone())?;
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
            self.keep(&plugin.name, &entry, Some(upload.bytes.clone())).await?;
            self.lock().plugins.insert(plugin.name.clone(), entry);
        } else {
            self.roll_out(&plugin, entry, Some(upload.bytes.clone())).await?;
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

    /// Makes the live version of an entry live on all workers, and has the store keep it.
    async fn roll_out(
        self: &Arc<Self>,
        plugin: &Arc<Plugin>,
        entry: PluginEntry,
        bytes: Option<Arc<[u8]>>,
    ) -> Result<(), PluginError> {
        let making = {
            let (control, plugin, entry) = (self.clone(), plugin.clone(), entry.clone());
            tokio::task::spawn_blocking(move || control.prepare_plugin(&plugin, entry))
        };
        let prepared = making.await.map_err(|_| PluginError::WorkerGone)??;
        self.keep(&plugin.name, &entry, bytes).await?;
        self.commit(prepared, None).await.map_err(|_| PluginError::WorkerGone)?;
        Ok(())
    }

    /// Has the store keep what is known under a name, and this component, if there is a store.
    async fn keep(
        self: &Arc<Self>,
        name: &str,
        entry: &PluginEntry,
        bytes: Option<Arc<[u8]>>,
    ) -> Result<(), PluginError> {
        let (control, name, kept) = (self.clone(), name.to_owned(), entry.kept());
        let keeping = tokio::task::spawn_blocking(move || {
            let mut store = control.store.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(store) = &mut *store else { return Ok(()) };
            let written = match (&kept.live, &bytes) {
                (Some(digest), Some(bytes)) => Store::write(store.directory(), digest, bytes),
                _ => Ok(()),
            };
            let done = written.and_then(|()| store.keep(&name, Some(kept), control.gate.sound()));
            match done {
                Err(error) if !store.is_asked_for => {
                    tracing::warn!(plugin = name, "the uploaded plugin is live, but gone at the next start: {error}");
                    Ok(())
                }
                done => done,
            }
        });
        keeping.await.map_err(|_| PluginError::WorkerGone)??;
        Ok(())
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
                if let Err(error) = Store::read(directory, &version.digest) {
                    tracing::error!(plugin = name, "{error}");
                }
            }
        }
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
    }

    /// Plugins that a configuration uses in a version that would not be there after a restart.
    pub(super) fn not_kept(&self, uses: &Uses) -> Vec<String> {
        let state = self.lock();
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = |name: &Arc<str>| {
            let digest = state.plugins.get(name).and_then(PluginEntry::uploaded);
            digest.is_some_and(|digest| store.as_ref().is_none_or(|store| !store.keeps_live(name, digest)))
        };
        uses.plugins().into_keys().filter(is_lost).map(|name| name.to_string()).collect()
    }

    /// Whether the live version of a plugin is there after a restart: all are but uploads that are not in the store.
    pub(super) fn is_kept(&self, name: &str, entry: &PluginEntry) -> bool {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        entry.uploaded().is_none_or(|digest| store.as_ref().is_some_and(|store| store.keeps_live(name, digest)))
    }

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
        let loading = tokio::task::spawn_blocking(move || earlier.load(&loader, &owned));
        let plugin = loading.await.map_err(|_| PluginError::WorkerGone)??;
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

fn refuse(mistakes: Vec<Mistake>) -> Result<(), PluginError> {
    if mistakes.is_empty() { Ok(()) } else { Err(refusals(mistakes)) }
}

fn refusals(mistakes: Vec<Mistake>) -> PluginError {
    let refusals =
        mistakes.into_iter().map(|mistake| Refusal { path: mistake.pointer, message: mistake.message }).collect();
    PluginError::Refused(refusals)
}
