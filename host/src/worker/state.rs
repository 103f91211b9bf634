use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::command::{ClusterInstall, Destined, Install, InstanceNumber, ListenerInstall, PolicyRef};
use super::sockets::{Accepting, Sockets};
use crate::config::SocketKey;
use crate::listener::{Acceptor, OpenConnections};
use crate::plugin::{Affinity, Balancer, Instance, Partitioner, Router};
use crate::proxy::{Balancing, Cluster, ClusterParts, Context, Destination, Listener};
use crate::snapshot::EndpointSet;

/// What a worker has installed.
pub(super) struct State {
    number: usize,
    context: Rc<Context>,
    open: Rc<OpenConnections>,
    instances: HashMap<InstanceNumber, Rc<RefCell<Instance>>>,
    clusters: Vec<Installed>,
    sockets: Sockets,
}

/// A cluster with the policies that choose its endpoints: the balancer first.
struct Installed {
    cluster: Rc<Cluster>,
    choosing: Vec<PolicyRef>,
}

impl State {
    pub(super) fn new(number: usize, context: Rc<Context>) -> Self {
        Self {
            number,
            context,
            open: Rc::default(),
            instances: HashMap::new(),
            clusters: Vec::new(),
            sockets: Sockets::default(),
        }
    }

    /// Goes over to another configuration. What it leaves as it is lives on: sockets, connections, pools, and policies with
    /// all they know.
    pub(super) fn install(&mut self, install: Install) {
        let used = instances_of(&install);
        for (number, mut instance) in install.instances {
            self.hand_over_to(&mut instance);
            self.instances.insert(number, Rc::new(RefCell::new(instance)));
        }
        let clusters: Vec<Installed> =
            install.clusters.into_iter().filter_map(|cluster| self.cluster(cluster)).collect();
        self.clusters = clusters;
        let clusters: Rc<[Rc<Cluster>]> = self.clusters.iter().map(|installed| installed.cluster.clone()).collect();
        let mut before = self.sockets.take();
        let listeners = install.listeners.into_iter();
        let live = listeners.filter_map(|listener| self.listener(listener, &clusters, &mut before)).collect();
        if self.sockets.go_over_to(live, before) {
            self.open.drain_orphans();
        }
        self.instances.retain(|number, _| used.contains(number));
    }

    /// Gives an instance what those before it want to hand on.
    fn hand_over_to(&self, instance: &mut Instance) {
        for before in self.instances.values() {
            if before.borrow().plugin().name == instance.plugin().name {
                instance.restore(&before.borrow_mut().save());
            }
        }
    }

    pub(super) fn set_endpoints(&self, cluster: &str, set: &Arc<EndpointSet>) {
        if let Some(cluster) = self.known(cluster).map(|known| &known.cluster)
            && cluster.generation() < set.generation()
        {
            cluster.set_endpoints(set);
        }
    }

    pub(super) fn stop_accepting(&mut self) {
        self.sockets.stop();
        self.open.drain();
    }

    pub(super) fn close(&mut self, socket: &SocketKey) {
        self.sockets.close(socket);
    }

    pub(super) fn open_connections(&self) -> usize {
        self.open.count()
    }

    pub(super) fn sweep_pools(&self) {
        let now = Instant::now();
        self.clusters.iter().for_each(|known| known.cluster.sweep_pools(now));
    }

    fn known(&self, cluster: &str) -> Option<&Installed> {
        self.clusters.iter().find(|known| *known.cluster.name == *cluster)
    }

    fn cluster(&self, install: ClusterInstall) -> Option<Installed> {
        let before = self.known(&install.config.name);
        let affinity = match install.affinity {
            Some(policy) => Some(Affinity::new(self.instance(policy)?, policy.policy)),
            None => None,
        };
        let choosing: Vec<PolicyRef> = std::iter::once(install.balancer).chain(install.partitioners).collect();
        let balancing = match before {
            Some(before) if before.choosing == choosing => before.cluster.balancing().clone(),
            _ => Rc::new(self.balancing(&choosing)?),
        };
        let parts = ClusterParts {
            shard: self.context.registry.cluster(self.number, &install.config.name),
            balancing,
            affinity,
            endpoints: install.endpoints.unwrap_or_default(),
            waiting: install.waiting,
            worker: self.number,
            tells_health: install.tells_health,
            seed: self.number as u64 + 1,
            config: install.config,
            tls: install.tls,
        };
        let cluster = Rc::new(Cluster::new(parts, before.map(|before| &*before.cluster)));
        Some(Installed { cluster, choosing })
    }

    fn balancing(&self, choosing: &[PolicyRef]) -> Option<Balancing> {
        let (balancer, partitioners) = choosing.split_first()?;
        let balancer = Balancer::new(self.instance(*balancer)?, balancer.policy);
        let partitioners: Option<Vec<Partitioner>> =
            partitioners.iter().map(|policy| Some(Partitioner::new(self.instance(*policy)?, policy.policy))).collect();
        Some(Balancing::new(balancer, partitioners?))
    }

    /// A listener on the socket that was there `before`, or on its new one.
    fn listener(
        &self,
        install: ListenerInstall,
        clusters: &Rc<[Rc<Cluster>]>,
        before: &mut HashMap<SocketKey, Accepting>,
    ) -> Option<(SocketKey, Accepting)> {
        let destination = match install.destination {
            Destined::Cluster(index) => Destination::Cluster(index),
            Destined::Nowhere => Destination::Nowhere,
            Destined::Router(policy) => Destination::Router(Router::new(self.instance(policy)?, policy.policy)),
        };
        let (address, key) = (install.config.bind, install.config.socket());
        let listener = Rc::new(Listener {
            name: install.config.name.as_str().into(),
            shard: self.context.registry.listener(self.number, &install.config.name),
            config: install.config,
            destination,
            tls: install.tls,
            clusters: clusters.clone(),
        });
        if let Some(accepting) = before.remove(&key) {
            accepting.acceptor().serve_for(listener, install.count);
            return Some((key, accepting));
        }
        let acceptor = Acceptor::new(self.context.clone(), self.open.clone(), address);
        acceptor.serve_for(listener, install.count);
        Some((key, Accepting::begin(acceptor, install.socket?)))
    }

    fn instance(&self, policy: PolicyRef) -> Option<Rc<RefCell<Instance>>> {
        self.instances.get(&policy.instance).cloned()
    }
}

/// The instances that have a policy of the configuration.
fn instances_of(install: &Install) -> HashSet<InstanceNumber> {
    let mut used = HashSet::new();
    for cluster in &install.clusters {
        used.extend(cluster.partitioners.iter().chain(&cluster.affinity).map(|policy| policy.instance));
        used.insert(cluster.balancer.instance);
    }
    used.extend(install.listeners.iter().filter_map(|listener| match listener.destination {
        Destined::Router(policy) => Some(policy.instance),
        Destined::Cluster(_) | Destined::Nowhere => None,
    }));
    used
}
