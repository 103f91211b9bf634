use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::build::{Builder, CONTROL, ClusterUses, Leads, Mistake, Uses, check_schemas};
use super::cluster::ClusterState;
use super::placement::Placement;
use super::plugins::PluginEntries;
use super::sockets::{GIVE_WAY, NewSockets, Sockets};
use super::state::{Control, State, VERSIONS_KEPT, Version};
use crate::config::{self, Config, ConfigErrors};
use crate::health::Policies;
use crate::plugin::{Engine, Evaluator, Instance, Plugin, Prober, Role, Services};
use crate::snapshot::EndpointSet;
use crate::telemetry::ReloadResult;
use crate::worker::{ClusterInstall, Command, Destined, Install, InstanceNumber, ListenerInstall, PolicyRef};

/// Why a configuration did not become live. The one that was live still is.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error("listening on {address} failed: {error}")]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error("{0} can only be changed by a restart")]
    Fixed(&'static str),
    #[error("the engine does not start: {0}")]
    Engine(anyhow::Error),
    #[error("the proxy was started without a configuration file, so there is none to save to")]
    NoFile,
    #[error(
        "the uploaded version of {0} would not be there after a restart: `plugins_dir` says where uploads are kept, or name \
         a file under `plugins`"
    )]
    NotKept(String),
    #[error("it is live, but writing {path} failed: {error}")]
    Save { path: String, error: std::io::Error },
    #[error("there is no version {0} to go back to")]
    NoSuchVersion(u64),
    #[error("version {live} is live by now, which is not what this change was made from")]
    Outdated { live: u64 },
    #[error("a worker has ended")]
    WorkerGone,
}

/// What is to be live: a configuration with the plugins that it uses and its clusters.
pub(super) struct Wanted {
    pub(super) config: Arc<Config>,
    pub(super) uses: Uses,
    pub(super) plugins: PluginEntries,
    /// The live version of every plugin that is used.
    pub(super) live: BTreeMap<Arc<str>, Arc<Plugin>>,
    pub(super) clusters: BTreeMap<Arc<str>, ClusterState>,
}

/// Everything that it needs, made before anything of it is live.
pub(super) struct Prepared {
    pub(super) wanted: Wanted,
    /// Of the policies of workers, and of those of the control plane.
    placed: Placements,
    workers: Vec<Vec<(InstanceNumber, Instance)>>,
    health: Vec<(InstanceNumber, Instance)>,
    /// The instances that are made for it.
    new: HashSet<InstanceNumber>,
    sockets: NewSockets,
}

/// Where the policies are that a configuration takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Placements {
    /// Those on every worker.
    data: Placement,
    /// Those in the control plane.
    control: Placement,
}

impl Control {
    /// Makes a configuration live on all workers, or on none. Answers its version.
    pub async fn apply(self: &Arc<Self>, config: Config, origin: &'static str) -> Result<u64, ApplyError> {
        self.apply_after(None, config, origin).await
    }

    /// The same, but only if the version `made_from` is live: nothing that somebody else has changed in between is undone.
    pub async fn apply_after(
        self: &Arc<Self>,
        made_from: Option<u64>,
        config: Config,
        origin: &'static str,
    ) -> Result<u64, ApplyError> {
        // Before anybody waits: it may take long, and what it has compiled is at hand when the configuration is prepared.
        let looking = {
            let (control, config) = (self.clone(), config.clone());
            tokio::task::spawn_blocking(move || fail_with(&config, control.look_at(&config, origin)))
        };
        looking.await.map_err(|_| ApplyError::WorkerGone)?.inspect_err(|error| self.refused(origin, error))?;
        let _one_at_a_time = self.changing.lock().await;
        let live = self.config_version();
        if made_from.is_some_and(|made_from| made_from != live) {
            return Err(ApplyError::Outdated { live });
        }
        self.hear_first(&config).await;
        let control = self.clone();
        let preparing = move || {
            let mut prepared = control.prepare(config)?;
            prepared.sockets = control.sockets_for(&prepared.wanted.config)?;
            Ok(prepared)
        };
        let prepared = tokio::task::spawn_blocking(preparing).await;
        let prepared = match prepared {
            Ok(prepared) => prepared,
            // The preparation panicked, which is our bug; what is live stays.
            Err(_) => Err(ApplyError::WorkerGone),
        };
        let prepared = prepared.inspect_err(|error| {
            self.refused(origin, error);
            self.listen(None);
        })?;
        let version = self.commit(prepared, Some(origin)).await?;
        self.registry.config_reloaded(ReloadResult::Success);
        self.registry.set_config_version(version);
        tracing::info!(target: "audit", origin, version, "configuration is live");
        Ok(version)
    }

    /// Reads the configuration's file again and makes it live.
    pub async fn reload(self: &Arc<Self>) -> Result<u64, ApplyError> {
        let Some(path) = &self.config_file else {
            let config = self.config().ok_or(ApplyError::WorkerGone)?;
            return self.apply((*config).clone(), "reload").await;
        };
        let config = config::load(path).map_err(ApplyError::from).inspect_err(|error| self.refused("file", error))?;
        self.apply(config, "file").await
    }

    fn refused(&self, origin: &str, error: &ApplyError) {
        self.registry.config_reloaded(ReloadResult::Failure);
        tracing::error!(origin, "configuration refused, nothing changed:\n{error}");
    }

    /// Checks a configuration's text; relative paths in it are relative to the file that the proxy was started with, and
    /// secrets that were not shown are those that are live.
    pub fn parse(&self, text: &str) -> Result<Config, ApplyError> {
        let beside = self.config_file.as_deref().unwrap_or_else(|| Path::new("config"));
        let live = self.config();
        let restored = config::restore_secrets(text, live.as_deref(), &beside.display().to_string());
        restored
            .and_then(|restored| config::parse_beside(restored.as_deref().unwrap_or(text), beside))
            .map_err(ApplyError::from)
            .inspect_err(|error| self.refused("api", error))
    }

    /// Whether there is a file to [`save`](Self::save) to.
    pub fn can_save(&self) -> Result<(), ApplyError> {
        self.config_file.as_ref().map(|_| ()).ok_or(ApplyError::NoFile)
    }

    /// Whether a proxy that is started with a configuration would have the plugins that it has now.
    pub fn would_start_again(&self, config: &Config) -> Result<(), ApplyError> {
        let lost = self.not_kept(&Uses::of(config));
        if lost.is_empty() { Ok(()) } else { Err(ApplyError::NotKept(lost.join(", "))) }
    }

    /// Writes a configuration to the file that the proxy was started with: whole, or not at all.
    pub async fn save(&self, text: &str) -> Result<(), ApplyError> {
        let Some(path) = self.config_file.clone() else {
            return Err(ApplyError::NoFile);
        };
        let text = text.to_owned();
        let shown = path.display().to_string();
        let writing = tokio::task::spawn_blocking(move || super::file::replace(&path, text.as_bytes()));
        writing.await.map_err(|_| ApplyError::WorkerGone)?.map_err(|error| ApplyError::Save { path: shown, error })
    }

    /// Makes an earlier version live again, as a new version.
    pub async fn roll_back(self: &Arc<Self>, version: Option<u64>) -> Result<u64, ApplyError> {
        let config = {
            let state = self.lock();
            let wanted = match version {
                Some(number) => state.versions.iter().find(|known| known.number == number),
                None => state.versions.iter().rev().nth(1),
            };
            wanted.map(|version| version.config.clone()).ok_or(ApplyError::NoSuchVersion(version.unwrap_or(0)))?
        };
        self.apply((*config).clone(), "rollback").await
    }

    pub(super) fn prepare(&self, config: Config) -> Result<Prepared, ApplyError> {
        let config = Arc::new(config);
        let uses = Uses::of(&config);
        let mut mistakes = Vec::new();
        let (plugins, live) = self.plugins_for(&config, &uses, &mut mistakes);
        let clusters = self.clusters_for(&config);
        for (name, policies) in uses.data.iter().chain(&uses.control) {
            if let Some(plugin) = live.get(name) {
                mistakes.extend(check_schemas(plugin, policies));
            }
        }
        fail_with(&config, mistakes)?;
        let wanted = Wanted { config: config.clone(), uses, plugins, live, clusters };
        self.make(wanted).map_err(|mistakes| as_errors(&config, mistakes))
    }

    /// Makes what a configuration needs and is not there yet.
    pub(super) fn make(&self, mut wanted: Wanted) -> Result<Prepared, Vec<Mistake>> {
        let before = self.lock().placed.clone();
        let number = || self.instances.fetch_add(1, Ordering::Relaxed);
        let (data, for_workers) = before.data.next(&wanted.live, &wanted.uses.data, number);
        let (control, for_control) = before.control.next(&wanted.live, &wanted.uses.control, number);
        let placed = Placements { data, control };
        let new: HashSet<_> = for_workers.iter().chain(&for_control).map(|new| new.number).collect();

        let endpoints = sets(&wanted.clusters);
        let builder = Builder { services: &self.services, endpoints: &endpoints };
        let health = builder.instances(&for_control, CONTROL)?;
        self.hold_until_probed(&mut wanted, &placed.control, &health);
        let endpoints = sets(&wanted.clusters);
        let builder = Builder { services: &self.services, endpoints: &endpoints };
        let mut workers = Vec::with_capacity(self.workers.len());
        // A check has no workers, but wants to hear of every mistake.
        for worker in 0..self.workers.len().max(1) as u32 {
            workers.push(builder.instances(&for_workers, worker)?);
        }
        for uses in &wanted.uses.clusters {
            let balancer = placed.data.of(&uses.balancer);
            let made = balancer.and_then(|place| Some((instance(workers.first()?, place)?, place)));
            if let (Some((instance, place)), Some(cluster)) = (made, wanted.clusters.get_mut(&uses.name)) {
                cluster.prepares = instance.prepares(place.policy);
            }
        }
        Ok(Prepared { wanted, placed, workers, health, new, sockets: HashMap::new() })
    }

    /// Keeps new endpoints out of service where the evaluator wants to see good probes first.
    fn hold_until_probed(&self, wanted: &mut Wanted, placed: &Placement, made: &[(InstanceNumber, Instance)]) {
        for uses in &wanted.uses.clusters {
            let Some(cluster) = wanted.clusters.get_mut(&uses.name) else { continue };
            let Some(place) = placed.of(&uses.evaluator) else { continue };
            let plan = match instance(made, place) {
                Some(instance) => Evaluator::new(place.policy).plan(instance),
                None => self.evaluation.plan(&uses.name),
            };
            let wants_probes = plan.is_some_and(|plan| plan.initial_probes > 0);
            cluster.hold_new_members(wants_probes && uses.prober.is_some());
        }
    }

    /// The live version of every plugin that is used, loaded if it was not yet.
    pub(super) fn plugins_for(
        &self,
        config: &Config,
        uses: &Uses,
        mistakes: &mut Vec<Mistake>,
    ) -> (PluginEntries, BTreeMap<Arc<str>, Arc<Plugin>>) {
        let mut plugins = self.lock().plugins.clone();
        for (index, declared) in config.plugins.iter().enumerate() {
            let entry = plugins.entry(declared.name.as_str().into()).or_default();
            if let Err(message) = entry.declare(&self.loader, declared) {
                mistakes.push(Mistake { pointer: format!("/plugins/{index}"), message });
            }
        }
        let mut live = BTreeMap::new();
        for (name, roles) in uses.plugins() {
            let Some(entry) = plugins.get_mut(&name) else {
                let message = unknown_plugin(&name, self.lock().plugins.keys());
                mistakes.extend(roles.into_iter().map(|(_, pointer)| Mistake { pointer, message: message.clone() }));
                continue;
            };
            match entry.live(&self.loader, &name) {
                Ok(plugin) => {
                    mistakes.extend(missing_roles(&plugin, &roles));
                    live.insert(name, plugin);
                }
                Err(message) => {
                    mistakes.extend(
                        roles.into_iter().take(1).map(|(_, pointer)| Mistake { pointer, message: message.clone() }),
                    );
                }
            }
        }
        (plugins, live)
    }

    fn clusters_for(&self, config: &Config) -> BTreeMap<Arc<str>, ClusterState> {
        let state = self.lock();
        let next = |cluster: &config::Cluster| {
            let name: Arc<str> = cluster.name.as_str().into();
            let before = state.clusters.get(&name);
            let config = Arc::new(cluster.clone());
            (name, ClusterState::next(config, &state.membership, before, None, self.workers.len()))
        };
        config.clusters.iter().map(next).collect()
    }

    /// Sockets for the addresses that nobody listens on yet, one for each worker.
    fn sockets_for(&self, config: &Config) -> Result<NewSockets, ApplyError> {
        // Beside the lock: binding asks the system.
        let known = self.lock().sockets.clone();
        known.bind(config, self.workers.len()).map_err(|(address, error)| ApplyError::Bind { address, error })
    }

    /// Makes what was prepared live, as another version if it has an `origin`. From here on nothing can fail but a worker
    /// that has ended. Answers the version that is live.
    pub(super) async fn commit(
        self: &Arc<Self>,
        mut prepared: Prepared,
        origin: Option<&'static str>,
    ) -> Result<u64, ApplyError> {
        let (number, installs, gives_way) = {
            let mut state = self.lock();
            prepared.catch_up_with(&state);
            let gives_way = state.sockets.go_over_to(&prepared.wanted.config, &prepared.sockets);
            let counts = state.sockets.clone();
            self.install_health(&mut prepared);
            let installs: Vec<Install> = std::mem::take(&mut prepared.workers)
                .into_iter()
                .map(|instances| prepared.install(&counts, instances, |cluster| self.wants_outcomes(cluster)))
                .collect();
            let number = state.note_version(&prepared.wanted.config, origin);
            state.uses = prepared.wanted.uses;
            state.placed = prepared.placed;
            state.plugins = prepared.wanted.plugins;
            state.clusters = prepared.wanted.clusters;
            (number, installs, gives_way)
        };
        self.install_on_workers(installs).await?;
        if gives_way {
            self.close_given_way();
        }
        self.tell_prepared().await;
        self.renew_tasks();
        self.settle_amendments(&prepared.wanted.config).await;
        self.forget_metrics(&prepared.wanted.config);
        Ok(number)
    }

    /// Answers when all workers have gone over.
    async fn install_on_workers(&self, installs: Vec<Install>) -> Result<(), ApplyError> {
        let mut installed = Vec::new();
        for (worker, install) in self.workers.iter().zip(installs) {
            let (done, acknowledged) = oneshot::channel();
            worker.send(Command::Install(Box::new(install), done)).await.map_err(|_| ApplyError::WorkerGone)?;
            installed.push(acknowledged);
        }
        for acknowledged in installed {
            acknowledged.await.map_err(|_| ApplyError::WorkerGone)?;
        }
        Ok(())
    }

    /// Closes the sockets that give way to others, once they have done so.
    fn close_given_way(self: &Arc<Self>) {
        let control = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(GIVE_WAY).await;
            let Some(control) = control.upgrade() else { return };
            // No configuration is about to want one of them back.
            let _one_at_a_time = control.changing.lock().await;
            let closing = control.lock().sockets.given_way();
            for key in closing {
                for worker in &control.workers {
                    // A worker that is gone has closed all of its own.
                    let _ = worker.send(Command::Close(key.clone())).await;
                }
            }
        });
    }

    /// Tells the workers of endpoints for which balancers that live on have to prepare first.
    async fn tell_prepared(&self) {
        let waiting: Vec<(Arc<str>, u64)> = {
            let state = self.lock();
            let untold = |cluster: &ClusterState| cluster.told < cluster.set.generation();
            let untold = state.clusters.iter().filter(|(_, cluster)| untold(cluster));
            untold.map(|(name, cluster)| (name.clone(), cluster.set.generation())).collect()
        };
        for (cluster, generation) in waiting {
            self.unprepared.notify_one();
            self.workers_told(&cluster, generation).await;
        }
    }

    fn install_health(&self, prepared: &mut Prepared) {
        let placed = &prepared.placed.control;
        let policies = |uses: &ClusterUses| {
            let evaluator = placed.of(&uses.evaluator)?;
            let prober = uses.prober.as_ref().and_then(|prober| placed.of(prober));
            let policies = Policies {
                evaluator: (evaluator.instance, Evaluator::new(evaluator.policy)),
                prober: prober.map(|place| (place.instance, Prober::new(place.policy))),
            };
            Some((uses.name.clone(), policies))
        };
        let policies = prepared.wanted.uses.clusters.iter().filter_map(policies).collect();
        for ignorant in self.evaluation.install(std::mem::take(&mut prepared.health), policies) {
            if let Some(cluster) = prepared.wanted.clusters.get_mut(&ignorant) {
                cluster.forgive_traffic();
            }
        }
        for (name, cluster) in &prepared.wanted.clusters {
            self.evaluation.set_endpoints(name, &cluster.set);
        }
    }

    fn wants_outcomes(&self, cluster: &str) -> bool {
        self.evaluation.plan(cluster).is_some_and(|plan| plan.outcomes)
    }

    fn forget_metrics(&self, config: &Config) {
        let clusters: Vec<&str> = config.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let listeners: Vec<&str> = config.listeners.iter().map(|listener| listener.name.as_str()).collect();
        let state = self.lock();
        let plugins: Vec<&str> = state.plugins.keys().map(|name| &**name).collect();
        self.registry.retain(&clusters, &listeners, &plugins);
    }
}

impl Prepared {
    /// Takes over what happened to the endpoints while it was being prepared.
    fn catch_up_with(&mut self, current: &State) {
        for uses in &self.wanted.uses.clusters {
            let Some(cluster) = self.wanted.clusters.get_mut(&uses.name) else { continue };
            let balancer = self.placed.data.of(&uses.balancer);
            let stays = balancer.is_some_and(|place| !self.new.contains(&place.instance));
            cluster.go_live(&current.membership, current.clusters.get(&uses.name), stays);
        }
    }

    /// What one worker needs.
    fn install(
        &mut self,
        sockets: &Sockets,
        instances: Vec<(InstanceNumber, Instance)>,
        tells_health: impl Fn(&str) -> bool,
    ) -> Install {
        let Self { wanted, placed, sockets: bound, .. } = self;
        let clusters = wanted.uses.clusters.iter().filter_map(|uses| {
            let state = wanted.clusters.get(&uses.name)?;
            Some(ClusterInstall {
                config: state.config.clone(),
                // The others are told when their balancer has prepared.
                endpoints: (state.told == state.set.generation()).then(|| state.set.clone()),
                waiting: state.waiting.clone(),
                balancer: placed.data.of(&uses.balancer)?,
                partitioners: uses.partitioners.iter().map(|used| placed.data.of(used)).collect::<Option<_>>()?,
                affinity: uses.affinity.as_ref().and_then(|used| placed.data.of(used)),
                tells_health: tells_health(&uses.name),
            })
        });
        let clusters = clusters.collect();
        let listeners =
            wanted.config.listeners.iter().zip(&wanted.uses.destinations).filter_map(|(listener, leads)| {
                Some(ListenerInstall {
                    config: Arc::new(listener.clone()),
                    destination: match leads {
                        Leads::To(cluster) => Destined::Cluster(*cluster),
                        Leads::By(router) => Destined::Router(placed.data.of(router)?),
                    },
                    socket: bound.get_mut(&listener.socket()).and_then(Vec::pop),
                    count: sockets.get(&listener.socket()).map(|socket| socket.connections.clone()).unwrap_or_default(),
                })
            });
        let listeners = listeners.collect();
        Install { instances, clusters, listeners }
    }
}

impl State {
    /// Notes the configuration that goes live as another version, if it has an origin. Answers the version that is live.
    fn note_version(&mut self, config: &Arc<Config>, origin: Option<&'static str>) -> u64 {
        let last = self.versions.back().map_or(0, |version| version.number);
        let Some(origin) = origin else { return last };
        let number = last + 1;
        self.versions.push_back(Version { number, config: config.clone(), since: SystemTime::now(), origin });
        while self.versions.len() > VERSIONS_KEPT {
            self.versions.pop_front();
        }
        number
    }
}

/// The one of these instances that has a policy.
fn instance(instances: &[(InstanceNumber, Instance)], place: PolicyRef) -> Option<&Instance> {
    instances.iter().find(|(number, _)| *number == place.instance).map(|(_, instance)| instance)
}

fn sets(clusters: &BTreeMap<Arc<str>, ClusterState>) -> HashMap<Arc<str>, Arc<EndpointSet>> {
    clusters.iter().map(|(name, cluster)| (name.clone(), cluster.set.clone())).collect()
}

pub(super) fn missing_roles(plugin: &Plugin, roles: &[(Role, String)]) -> Vec<Mistake> {
    let have: Vec<&str> = plugin.roles.iter().map(|role| role.as_str()).collect();
    roles
        .iter()
        .filter(|(role, _)| !plugin.roles.contains(role))
        .map(|(role, pointer)| Mistake {
            pointer: pointer.clone(),
            message: format!("plugin `{}` is no {role}; its roles: {}", plugin.name, have.join(", ")),
        })
        .collect()
}

fn unknown_plugin<'a>(name: &str, known: impl Iterator<Item = &'a Arc<str>>) -> String {
    let known: Vec<&str> = known.map(|name| &**name).collect();
    format!("plugin `{name}` is not known; known are: {}", known.join(", "))
}

pub(super) fn fail_with(config: &Config, mistakes: Vec<Mistake>) -> Result<(), ApplyError> {
    if mistakes.is_empty() { Ok(()) } else { Err(as_errors(config, mistakes)) }
}

fn as_errors(config: &Config, mistakes: Vec<Mistake>) -> ApplyError {
    let mistakes = mistakes.into_iter().map(|mistake| (mistake.pointer, mistake.message));
    ApplyError::Config(config.source.errors(mistakes))
}

/// Lets everyone who has a say in a configuration judge it, without making anything live.
/// `store` is where uploads are kept, and whether the operator says so.
pub fn check(
    engine: &Engine,
    services: &Arc<Services>,
    config: Config,
    store: Option<(&Path, bool)>,
) -> Result<(), ApplyError> {
    let control = Control::for_checking(engine.clone(), services.clone());
    if let Some((directory, is_asked_for)) = store {
        control.open_store(directory, is_asked_for);
    }
    fail_with(&config, control.look_at(&config, "check"))?;
    control.prepare(config).map(drop)
}
