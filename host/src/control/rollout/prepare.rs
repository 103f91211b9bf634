use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::build::{Builder, CONTROL, Uses, check_schemas};
use super::placement::{Placement, Placements};
use super::sockets::NewSockets;
use crate::config::{self, Config};
use crate::control::certificates::{ListenerTls, PreparedOrders};
use crate::control::desired::ApplyError;
use crate::control::membership::ClusterState;
use crate::control::mistake::Mistake;
use crate::control::plugins::PluginEntries;
use crate::control::state::Control;
use crate::health::ProbeTls;
use crate::net;
use crate::plugin::{Discovery, Evaluator, Instance, Plugin, Prober, Role};
use crate::snapshot::EndpointSet;
use crate::tls::{SystemRoots, UpstreamTls};
use crate::worker::{InstanceNumber, PolicyRef};

/// What is to be live: a configuration with the plugins that it uses and its clusters.
pub(in crate::control) struct Wanted {
    pub(in crate::control) config: Arc<Config>,
    pub(in crate::control) uses: Uses,
    pub(in crate::control) plugins: PluginEntries,
    /// The live version of every plugin that is used.
    pub(in crate::control) live: BTreeMap<Arc<str>, Arc<Plugin>>,
    pub(in crate::control) clusters: BTreeMap<Arc<str>, ClusterState>,
}

/// Everything that it needs, made before anything of it is live.
pub(in crate::control) struct Prepared {
    pub(super) wanted: Wanted,
    /// Of the policies of workers, and of those of the control plane.
    pub(super) placed: Placements,
    pub(super) workers: Vec<Vec<(InstanceNumber, Instance)>>,
    pub(super) health: Vec<(InstanceNumber, Instance)>,
    /// The instances that are made for it.
    pub(super) new: HashSet<InstanceNumber>,
    pub(super) sockets: NewSockets,
    /// Of the listeners that speak it, by their names, and the certificates that are ordered for them. None: it stays as it is.
    pub(super) tls: Option<(BTreeMap<String, ListenerTls>, PreparedOrders)>,
}

impl Wanted {
    /// Makes what it takes to speak TLS to endpoints.
    fn speak_tls(&mut self) -> Result<(), Vec<Mistake>> {
        let (mut system, mut mistakes) = (SystemRoots::default(), Vec::new());
        for (index, config) in self.config.clusters.iter().enumerate() {
            let made = config.tls.as_ref().map(|tls| UpstreamTls::new(tls, &mut system)).transpose();
            match (made, self.clusters.get_mut(config.name.as_str())) {
                (Ok(tls), Some(cluster)) => cluster.tls = tls,
                (Ok(_), None) => {}
                (Err((key, message)), _) => {
                    let pointer = format!("/clusters/{index}/tls/{key}");
                    mistakes.push(Mistake { pointer: pointer.trim_end_matches('/').to_owned(), message });
                }
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }
}

/// What a configuration wants that this process may not do.
fn forbidden(config: &Config) -> Vec<Mistake> {
    let transparent = || config.clusters.iter().enumerate().filter(|(_, cluster)| cluster.transparent);
    if transparent().next().is_none() || net::may_be_transparent() {
        return Vec::new();
    }
    let mistake = |index| Mistake {
        pointer: format!("/clusters/{index}/transparent"),
        message: "this process may not send from the addresses of others: give it CAP_NET_ADMIN, as with \
                  `AmbientCapabilities=CAP_NET_ADMIN` of systemd"
            .to_owned(),
    };
    transparent().map(|(index, _)| mistake(index)).collect()
}

impl Control {
    /// Makes everything that a configuration needs, but for its sockets. Nothing of it is live yet.
    pub(in crate::control) fn prepare(&self, config: Config) -> Result<Prepared, ApplyError> {
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
        ApplyError::if_any(&config, mistakes)?;
        let wanted = Wanted { config: config.clone(), uses, plugins, live, clusters };
        let refused = |mistakes| ApplyError::of(&config, mistakes);
        let tls = ListenerTls::all_of(&config, &self.tickets).map_err(refused)?;
        let orders = self.prepare_orders(&config).map_err(refused)?;
        let prepared = self.make(wanted).map_err(refused)?;
        Ok(Prepared { tls: Some((tls, orders)), ..prepared })
    }

    /// The same with the sockets that it needs, so that nothing can fail any more.
    pub(in crate::control) fn prepare_with_sockets(&self, config: Config) -> Result<Prepared, ApplyError> {
        let mut prepared = self.prepare(config)?;
        ApplyError::if_any(&prepared.wanted.config, forbidden(&prepared.wanted.config))?;
        prepared.sockets = self.sockets_for(&prepared.wanted.config)?;
        Ok(prepared)
    }

    /// Makes what a configuration needs and is not there yet.
    pub(in crate::control) fn make(&self, mut wanted: Wanted) -> Result<Prepared, Vec<Mistake>> {
        wanted.speak_tls()?;
        let before = self.lock().placed.clone();
        let number = || self.instances.fetch_add(1, Ordering::Relaxed);
        let (data, for_workers) = before.data.next(&wanted.live, &wanted.uses.data, number);
        let (control, for_control) = before.control.next(&wanted.live, &wanted.uses.control, number);
        let placed = Placements { data, control };
        let new: HashSet<_> = for_workers.iter().chain(&for_control).map(|new| new.number).collect();

        let endpoints = sets(&wanted.clusters);
        let builder = Builder { services: &self.services, endpoints: &endpoints };
        let health = builder.instances(&for_control, CONTROL)?;
        self.check_calls(&wanted, &placed.control, &health)?;
        self.speak_tls_in_probes(&mut wanted, &placed.control, &health)?;
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
        Ok(Prepared { wanted, placed, workers, health, new, sockets: NewSockets::default(), tls: None })
    }

    /// Whether the clusters are there that plugins are to call.
    fn check_calls(
        &self,
        wanted: &Wanted,
        placed: &Placement,
        made: &[(InstanceNumber, Instance)],
    ) -> Result<(), Vec<Mistake>> {
        let mut mistakes = Vec::new();
        for uses in &wanted.uses.clusters {
            for (from, used) in &uses.discoveries {
                let Some(place) = placed.of(used) else { continue };
                let plan = match instance(made, place) {
                    Some(instance) => Discovery::new(place.policy).plan(instance),
                    None => self.evaluation.finder(&uses.name, from).map(|(_, plan)| plan),
                };
                let policies = wanted.uses.control.get(&used.plugin);
                let pointer = policies.and_then(|policies| policies.get(used.position)).map(|policy| &policy.pointer);
                let unknown = |name: &&String| !wanted.clusters.contains_key(name.as_str());
                for name in plan.iter().flat_map(|plan| &plan.clusters).filter(unknown) {
                    let known: Vec<&str> = wanted.clusters.keys().map(|name| &**name).collect();
                    mistakes.push(Mistake {
                        pointer: pointer.cloned().unwrap_or_default(),
                        message: format!("cluster `{name}` does not exist; there are: {}", known.join(", ")),
                    });
                }
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Makes what it takes to speak TLS in probes, as the probers want it that have been made for that or live on.
    fn speak_tls_in_probes(
        &self,
        wanted: &mut Wanted,
        placed: &Placement,
        made: &[(InstanceNumber, Instance)],
    ) -> Result<(), Vec<Mistake>> {
        let (mut system, mut mistakes) = (SystemRoots::default(), Vec::new());
        for uses in &wanted.uses.clusters {
            let Some(cluster) = wanted.clusters.get_mut(&uses.name) else { continue };
            let checks = cluster.config.health.probe.iter().flat_map(|probe| &probe.checks);
            let mut all = Vec::new();
            for (number, (check, used)) in checks.zip(&uses.probers).enumerate() {
                let Some(place) = placed.of(used) else { continue };
                let plan = match instance(made, place) {
                    Some(instance) => Prober::new(place.policy).plan(instance),
                    None => self.evaluation.prober_plan(&uses.name, number),
                };
                let Some(plan) = plan else { continue };
                match ProbeTls::new(check, cluster.config.tls.as_ref(), &plan, &mut system) {
                    Ok(tls) => all.push(tls),
                    Err((key, message)) => {
                        let beside = check.plugin.pointer.trim_end_matches("config");
                        mistakes.push(Mistake { pointer: format!("{beside}{key}"), message });
                    }
                }
            }
            cluster.probe_tls = all.into();
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
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
            let is_probed = !uses.probers.is_empty() || cluster.config.health.track.is_some();
            cluster.hold_new_members(wants_probes && is_probed);
        }
    }

    /// The live version of every plugin that is used, loaded if it was not yet.
    pub(in crate::control) fn plugins_for(
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
                let unknown = |(role, pointer)| Mistake { pointer, message: unknown_plugin(&name, role, &plugins) };
                mistakes.extend(roles.into_iter().map(unknown));
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
}

/// The one of these instances that has a policy.
fn instance(instances: &[(InstanceNumber, Instance)], place: PolicyRef) -> Option<&Instance> {
    instances.iter().find(|(number, _)| *number == place.instance).map(|(_, instance)| instance)
}

pub(super) fn sets(clusters: &BTreeMap<Arc<str>, ClusterState>) -> HashMap<Arc<str>, Arc<EndpointSet>> {
    clusters.iter().map(|(name, cluster)| (name.clone(), cluster.set.clone())).collect()
}

pub(in crate::control) fn missing_roles(plugin: &Plugin, roles: &[(Role, String)]) -> Vec<Mistake> {
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

fn unknown_plugin(name: &str, role: Role, plugins: &PluginEntries) -> String {
    let fitting = plugins.iter().filter(|(known, entry)| entry.may_be(role, known)).map(|(known, _)| &**known);
    let fitting: Vec<&str> = fitting.collect();
    match config::similar(name, fitting.iter().copied()) {
        Some(meant) => format!("plugin `{name}` is not known; did you mean `{meant}`?"),
        None if fitting.is_empty() => {
            format!(
                "plugin `{name}` is not known, and none of the role {role} is; name one under `plugins`, or upload it"
            )
        }
        None => format!("plugin `{name}` is not known; of the role {role} are: {}", fitting.join(", ")),
    }
}
