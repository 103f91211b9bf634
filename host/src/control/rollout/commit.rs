use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::build::{ClusterUses, Leads};
use super::placement::Use;
use super::prepare::Prepared;
use super::sockets::{GIVE_WAY, Sockets};
use crate::config::{Config, Discover};
use crate::control::certificates::ListenerTls;
use crate::control::desired::ApplyError;
use crate::control::membership::ClusterState;
use crate::control::state::{Control, State};
use crate::health::Policies;
use crate::plugin::{Discovery, Evaluator, Instance, Prober};
use crate::worker::{ClusterInstall, Command, Destined, Install, InstanceNumber, ListenerInstall, PolicyRef};

impl Control {
    /// Makes what was prepared live, as another version if it has an `origin`. From here on nothing can fail but a worker
    /// that has ended. Answers the version that is live.
    pub(in crate::control) async fn commit(
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
            if let Some((tls, orders)) = prepared.tls.take() {
                state.tls = tls;
                self.go_over_to_orders(&mut state, orders);
                state.offer_certificates();
            }
            let installs: Vec<Install> = std::mem::take(&mut prepared.workers)
                .into_iter()
                .enumerate()
                .map(|worker| prepared.install(&counts, &state.tls, worker, |cluster| self.wants_outcomes(cluster)))
                .collect();
            let number = state.versions.note(&prepared.wanted.config, origin);
            state.uses = prepared.wanted.uses;
            state.placed = prepared.placed;
            state.plugins = prepared.wanted.plugins;
            state.clusters = prepared.wanted.clusters;
            for cluster in state.clusters.values_mut() {
                self.tell_panic(cluster);
                self.observe_departures(cluster);
            }
            self.departures.retain(|cluster| state.clusters.contains_key(cluster), Instant::now());
            (number, installs, gives_way)
        };
        if origin.is_some() {
            self.tell_expiring();
        }
        self.bound_use(&prepared.wanted.config.overload);
        self.services.limit_tables(prepared.wanted.config.plugin_table_bytes);
        self.install_on_workers(installs).await?;
        if gives_way {
            self.close_given_way();
        }
        self.tell_prepared().await;
        self.renew_tasks();
        self.hear_plugins(&prepared.wanted.config).await;
        self.settle_amendments(&prepared.wanted.config).await;
        self.renew_shadows().await;
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

    pub(super) fn install_health(&self, prepared: &mut Prepared) {
        let placed = &prepared.placed.control;
        let policies = |uses: &ClusterUses| {
            let evaluator = placed.of(&uses.evaluator)?;
            let prober = |place: PolicyRef| (place.instance, Prober::new(place.policy));
            let discovery = |(from, used): &(Discover, Use)| {
                let place = placed.of(used)?;
                Some((from.clone(), place.instance, Discovery::new(place.policy)))
            };
            let policies = Policies {
                evaluator: (evaluator.instance, Evaluator::new(evaluator.policy)),
                probers: uses.probers.iter().map(|used| placed.of(used).map(prober)).collect::<Option<_>>()?,
                discoveries: uses.discoveries.iter().map(discovery).collect::<Option<_>>()?,
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
        let plugins: Vec<&str> =
            state.plugins.keys().map(|name| &**name).chain(state.shadows.candidate_names()).collect();
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

    /// What one worker needs: that of this number, with these instances.
    fn install(
        &mut self,
        sockets: &Sockets,
        tls: &BTreeMap<String, ListenerTls>,
        (worker, instances): (usize, Vec<(InstanceNumber, Instance)>),
        tells_health: impl Fn(&str) -> bool,
    ) -> Install {
        let Self { wanted, placed, sockets: bound, .. } = self;
        let clusters = wanted.uses.clusters.iter().filter_map(|uses| {
            let state = wanted.clusters.get(&uses.name)?;
            Some(ClusterInstall {
                config: state.config.clone(),
                tls: state.tls.clone(),
                // The others are told when their balancer has prepared.
                endpoints: (state.told == state.set.generation()).then(|| state.set.clone()),
                waiting: state.waiting.clone(),
                under_way: state.under_way.clone(),
                balancer: placed.data.of(&uses.balancer)?,
                partitioners: uses.partitioners.iter().map(|used| placed.data.of(used)).collect::<Option<_>>()?,
                affinity: uses.affinity.as_ref().and_then(|used| placed.data.of(used)),
                tells_health: tells_health(&uses.name),
            })
        });
        let clusters = clusters.collect();
        let mut listeners = Vec::new();
        for (listener, leads) in wanted.config.listeners.iter().zip(&wanted.uses.destinations) {
            let destination = match leads {
                Leads::To(cluster) => Some(Destined::Cluster(*cluster)),
                Leads::Nowhere => Some(Destined::Nowhere),
                Leads::By(router) => placed.data.of(router).map(Destined::Router),
            };
            let Some(destination) = destination else { continue };
            let config = Arc::new(listener.clone());
            for bind in listener.bind.iter().copied() {
                let key = listener.socket(bind);
                let socket = sockets.get(&key);
                let mut keys = std::iter::once(key.clone()).chain(listener.quic_socket(bind));
                listeners.push(ListenerInstall {
                    config: config.clone(),
                    bind,
                    port: socket.map_or(bind, |socket| socket.address).port(),
                    destination,
                    tls: tls.get(&listener.name).map(|tls| tls.server.clone()),
                    socket: bound.tcp.get_mut(&key).and_then(Vec::pop),
                    udp: keys.find_map(|key| bound.udp.get_mut(&key)?.take(worker)),
                    count: socket.map(|socket| socket.connections.clone()).unwrap_or_default(),
                });
            }
        }
        Install { instances, clusters, listeners }
    }
}
