use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::build::{Builder, CONTROL, Mistake, Uses, check_schemas};
use super::cluster::ClusterState;
use super::plugins::PluginEntries;
use super::state::{Control, ListeningSocket, VERSIONS_KEPT, Version};
use crate::config::{self, Config, ConfigErrors};
use crate::health::Policies;
use crate::net;
use crate::plugin::{Engine, Evaluator, Instance, Plugin, Prober, Role, Services};
use crate::snapshot::EndpointSet;
use crate::telemetry::ReloadResult;
use crate::worker::{ClusterInstall, Command, Install, ListenerInstall};

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
    #[error("it is live, but writing {path} failed: {error}")]
    Save { path: String, error: std::io::Error },
    #[error("there is no version {0} to go back to")]
    NoSuchVersion(u64),
    #[error("version {live} is live by now, which is not what this change was made from")]
    Outdated { live: u64 },
    #[error("a worker has ended")]
    WorkerGone,
}

/// Everything that a configuration needs, made before anything of it is live.
pub(super) struct Prepared {
    pub(super) config: Arc<Config>,
    pub(super) uses: Uses,
    pub(super) plugins: PluginEntries,
    clusters: BTreeMap<Arc<str>, ClusterState>,
    workers: Vec<Vec<Instance>>,
    control: Vec<Instance>,
    sockets: HashMap<SocketAddr, Vec<TcpListener>>,
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
        let _one_at_a_time = self.changing.lock().await;
        let live = self.config_version();
        if made_from.is_some_and(|made_from| made_from != live) {
            return Err(ApplyError::Outdated { live });
        }
        let control = self.clone();
        let preparing = move || {
            let mut prepared = control.prepare(config)?;
            prepared.sockets = control.sockets_for(&prepared.config)?;
            Ok(prepared)
        };
        let prepared = tokio::task::spawn_blocking(preparing).await;
        let prepared = match prepared {
            Ok(prepared) => prepared,
            // The preparation panicked, which is our bug; what is live stays.
            Err(_) => Err(ApplyError::WorkerGone),
        };
        let prepared = prepared.inspect_err(|error| self.refused(origin, error))?;
        let version = self.commit(prepared, origin).await?;
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
        let mut clusters = self.clusters_for(&config, &mut mistakes);
        for (name, policies) in uses.data.iter().chain(&uses.control) {
            if let Some(plugin) = live.get(name) {
                mistakes.extend(check_schemas(plugin, policies));
            }
        }
        fail_with(&config, mistakes)?;

        let endpoints = sets(&clusters);
        let builder = Builder { services: &self.services, endpoints: &endpoints };
        let control = builder.instances(&live, CONTROL, &uses.control);
        let control = control.or_else(|mistakes| fail_with(&config, mistakes).map(|()| Vec::new()))?;
        hold_until_probed(&uses, &control, &mut clusters);
        let endpoints = sets(&clusters);
        let builder = Builder { services: &self.services, endpoints: &endpoints };
        let mut workers = Vec::with_capacity(self.workers.len());
        // A check has no workers, but wants to hear of every mistake.
        for worker in 0..self.workers.len().max(1) as u32 {
            let instances = builder.instances(&live, worker, &uses.data);
            workers.push(instances.or_else(|mistakes| fail_with(&config, mistakes).map(|()| Vec::new()))?);
        }
        for (cluster, prepares) in preparing(&uses, workers.first().map_or(&[], Vec::as_slice)) {
            if let Some(cluster) = clusters.get_mut(&cluster) {
                cluster.prepares = prepares;
            }
        }
        Ok(Prepared { config, uses, plugins, clusters, workers, control, sockets: HashMap::new() })
    }

    /// The live version of every plugin that is used, loaded if it was not yet.
    fn plugins_for(
        &self,
        config: &Config,
        uses: &Uses,
        mistakes: &mut Vec<Mistake>,
    ) -> (PluginEntries, BTreeMap<Arc<str>, Arc<Plugin>>) {
        let mut plugins = self.lock().plugins.clone();
        for (index, declared) in config.plugins.iter().enumerate() {
            let entry = plugins.entry(declared.name.as_str().into()).or_default();
            if let Err(message) = entry.declare(&self.engine, &self.services, declared) {
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
            match entry.live(&self.engine, &self.services) {
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

    fn clusters_for(&self, config: &Config, mistakes: &mut Vec<Mistake>) -> BTreeMap<Arc<str>, ClusterState> {
        let before = self.lock().clusters.clone();
        let mut clusters = BTreeMap::new();
        for (index, cluster) in config.clusters.iter().enumerate() {
            let mut addresses = Vec::with_capacity(cluster.endpoints.len());
            for (number, endpoint) in cluster.endpoints.iter().enumerate() {
                match endpoint.address.resolve() {
                    Ok(address) => addresses.push(address),
                    Err(error) => mistakes.push(Mistake {
                        pointer: format!("/clusters/{index}/endpoints/{number}"),
                        message: format!("`{}` does not resolve: {error}", endpoint.address),
                    }),
                }
            }
            if addresses.len() < cluster.endpoints.len() {
                continue;
            }
            let name: Arc<str> = cluster.name.as_str().into();
            let state =
                ClusterState::next(Arc::new(cluster.clone()), &addresses, before.get(&name), self.workers.len());
            clusters.insert(name, state);
        }
        clusters
    }

    /// Sockets for the addresses that nobody listens on yet, one for each worker.
    fn sockets_for(&self, config: &Config) -> Result<HashMap<SocketAddr, Vec<TcpListener>>, ApplyError> {
        let known: HashSet<SocketAddr> = self.lock().sockets.keys().copied().collect();
        let mut sockets = HashMap::new();
        for listener in &config.listeners {
            let address = listener.bind;
            if known.contains(&address) {
                continue;
            }
            let bound =
                bind_for_all(address, self.workers.len()).map_err(|error| ApplyError::Bind { address, error })?;
            sockets.insert(address, bound);
        }
        Ok(sockets)
    }

    /// Makes what was prepared live. From here on nothing can fail but a worker that has ended.
    async fn commit(self: &Arc<Self>, mut prepared: Prepared, origin: &'static str) -> Result<u64, ApplyError> {
        let (number, installs) = {
            let mut state = self.lock();
            for (name, cluster) in &mut prepared.clusters {
                cluster.go_live(state.clusters.get(name));
            }
            let number = state.versions.back().map_or(1, |version| version.number + 1);
            let wanted: HashSet<SocketAddr> = prepared.config.listeners.iter().map(|listener| listener.bind).collect();
            state.sockets.retain(|address, _| wanted.contains(address));
            for address in wanted {
                let bound = prepared.sockets.get(&address).and_then(|sockets| sockets.first()?.local_addr().ok());
                state.sockets.entry(address).or_insert_with(|| ListeningSocket {
                    address: bound.unwrap_or(address),
                    connections: Arc::default(),
                });
            }
            let counts = state.sockets.clone();
            self.install_health(&mut prepared);
            let installs: Vec<Install> = std::mem::take(&mut prepared.workers)
                .into_iter()
                .map(|instances| install(&mut prepared, &counts, instances, |cluster| self.wants_outcomes(cluster)))
                .collect();
            state.versions.push_back(Version {
                number,
                config: prepared.config.clone(),
                since: SystemTime::now(),
                origin,
            });
            while state.versions.len() > VERSIONS_KEPT {
                state.versions.pop_front();
            }
            state.uses = prepared.uses.clone();
            state.plugins = prepared.plugins;
            state.clusters = prepared.clusters;
            (number, installs)
        };
        let mut installed = Vec::new();
        for (worker, install) in self.workers.iter().zip(installs) {
            let (done, acknowledged) = oneshot::channel();
            worker.send(Command::Install(Box::new(install), done)).await.map_err(|_| ApplyError::WorkerGone)?;
            installed.push(acknowledged);
        }
        for acknowledged in installed {
            acknowledged.await.map_err(|_| ApplyError::WorkerGone)?;
        }
        self.restart_tasks();
        self.forget_metrics(&prepared.config);
        Ok(number)
    }

    fn install_health(&self, prepared: &mut Prepared) {
        let clusters = prepared
            .config
            .clusters
            .iter()
            .zip(&prepared.uses.clusters)
            .map(|(cluster, uses)| {
                let evaluator = (uses.evaluator.plugin.clone(), Evaluator::new(uses.evaluator.policy));
                let prober = uses.prober.as_ref().map(|prober| (prober.plugin.clone(), Prober::new(prober.policy)));
                (Arc::from(cluster.name.as_str()), Policies { evaluator, prober })
            })
            .collect();
        self.evaluation.install(std::mem::take(&mut prepared.control), clusters);
        for (name, cluster) in &prepared.clusters {
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

/// Clusters with a balancer of which there is an instance here, and whether it prepares for endpoints.
pub(super) fn preparing(uses: &Uses, instances: &[Instance]) -> Vec<(Arc<str>, bool)> {
    let of_cluster = |cluster: &super::build::ClusterUses| {
        let instance = instances.iter().find(|instance| instance.plugin().name == cluster.balancer.plugin)?;
        Some((cluster.name.clone(), instance.prepares(cluster.balancer.policy)))
    };
    uses.clusters.iter().filter_map(of_cluster).collect()
}

/// Keeps new endpoints out of service where the evaluator wants to see good probes first.
fn hold_until_probed(uses: &Uses, control: &[Instance], clusters: &mut BTreeMap<Arc<str>, ClusterState>) {
    for uses in uses.clusters.iter().filter(|uses| uses.prober.is_some()) {
        let Some(cluster) = clusters.get_mut(&uses.name) else { continue };
        let instance = control.iter().find(|instance| instance.plugin().name == uses.evaluator.plugin);
        let plan = instance.and_then(|instance| Evaluator::new(uses.evaluator.policy).plan(instance));
        if plan.is_some_and(|plan| plan.initial_probes > 0) {
            cluster.hold_new_members();
        }
    }
}

fn install(
    prepared: &mut Prepared,
    sockets: &HashMap<SocketAddr, ListeningSocket>,
    instances: Vec<Instance>,
    tells_health: impl Fn(&str) -> bool,
) -> Install {
    let clusters = prepared
        .config
        .clusters
        .iter()
        .zip(&prepared.uses.clusters)
        .filter_map(|(cluster, uses)| {
            let state = prepared.clusters.get(cluster.name.as_str())?;
            Some(ClusterInstall {
                config: state.config.clone(),
                endpoints: state.set.clone(),
                waiting: state.waiting.clone(),
                balancer: uses.balancer.clone(),
                partitioners: uses.partitioners.clone(),
                affinity: uses.affinity.clone(),
                tells_health: tells_health(&cluster.name),
            })
        })
        .collect();
    let listeners = prepared
        .config
        .listeners
        .iter()
        .zip(&prepared.uses.destinations)
        .map(|(listener, destination)| ListenerInstall {
            config: Arc::new(listener.clone()),
            destination: destination.clone(),
            socket: prepared.sockets.get_mut(&listener.bind).and_then(Vec::pop),
            count: sockets.get(&listener.bind).map(|socket| socket.connections.clone()).unwrap_or_default(),
        })
        .collect();
    Install { instances, clusters, listeners }
}

fn bind_for_all(address: SocketAddr, workers: usize) -> std::io::Result<Vec<TcpListener>> {
    let first = net::listen_alone(address)?;
    // Port 0 means one port that the system chooses, the same for all workers.
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(net::listen(address)?);
    }
    Ok(sockets)
}

pub(super) fn sets(clusters: &BTreeMap<Arc<str>, ClusterState>) -> HashMap<Arc<str>, Arc<EndpointSet>> {
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
    if mistakes.is_empty() {
        return Ok(());
    }
    let mistakes = mistakes.into_iter().map(|mistake| (mistake.pointer, mistake.message));
    Err(ApplyError::Config(config.source.errors(mistakes)))
}

/// Lets everyone who has a say in a configuration judge it, without making anything live.
pub fn check(engine: &Engine, services: &Arc<Services>, config: Config) -> Result<(), ApplyError> {
    Control::for_checking(engine.clone(), services.clone()).prepare(config).map(drop)
}
