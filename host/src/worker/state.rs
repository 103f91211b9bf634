use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::command::{ClusterInstall, Destined, Install, ListenerInstall, PolicyRef};
use crate::listener::{self, Acceptor, OpenConnections};
use crate::plugin::{Affinity, Balancer, Instance, Partitioner, Router};
use crate::proxy::{Balancing, Cluster, ClusterParts, Context, Destination, Listener, ListenerSlot};
use crate::snapshot::EndpointSet;

/// What a worker has installed.
pub(super) struct State {
    number: usize,
    context: Rc<Context>,
    open: Rc<OpenConnections>,
    instances: HashMap<Arc<str>, Rc<RefCell<Instance>>>,
    clusters: Vec<Rc<Cluster>>,
    accepting: HashMap<SocketAddr, Accepting>,
}

/// One socket and the listener behind it.
struct Accepting {
    slot: Rc<ListenerSlot>,
    task: JoinHandle<()>,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.slot.set(None);
        self.task.abort();
    }
}

impl State {
    pub(super) fn new(number: usize, context: Rc<Context>) -> Self {
        Self {
            number,
            context,
            open: Rc::default(),
            instances: HashMap::new(),
            clusters: Vec::new(),
            accepting: HashMap::new(),
        }
    }

    /// Goes over to another configuration. Sockets whose address stays, connections and pools live on.
    pub(super) fn install(&mut self, install: Install) {
        let mut instances = HashMap::new();
        for mut instance in install.instances {
            let name = instance.plugin().name.clone();
            if let Some(before) = self.instances.get(&name) {
                instance.restore(&before.borrow_mut().save());
            }
            instances.insert(name, Rc::new(RefCell::new(instance)));
        }
        self.instances = instances;
        let clusters: Rc<[Rc<Cluster>]> =
            install.clusters.into_iter().filter_map(|cluster| self.cluster(cluster)).collect();
        self.clusters = clusters.to_vec();
        let mut accepting = HashMap::new();
        for listener in install.listeners {
            if let Some((address, accepts)) = self.listener(listener, &clusters) {
                accepting.insert(address, accepts);
            }
        }
        let gone = std::mem::replace(&mut self.accepting, accepting);
        if !gone.is_empty() {
            drop(gone);
            self.open.drain_orphans();
        }
    }

    pub(super) fn set_endpoints(&self, cluster: &str, set: &Arc<EndpointSet>) {
        if let Some(cluster) = self.clusters.iter().find(|known| *known.name == *cluster)
            && cluster.generation() < set.generation()
        {
            cluster.set_endpoints(set);
        }
    }

    /// Puts another version of a plugin in the place of the one that is live. The next call goes to it.
    pub(super) fn swap(&self, mut instance: Instance) {
        let Some(place) = self.instances.get(&instance.plugin().name) else { return };
        instance.restore(&place.borrow_mut().save());
        // Kept until the groups of partitioners have their policies again, so that what is remembered for them stays.
        let _before = place.replace(instance);
        // It was made with the endpoints of a moment ago.
        for cluster in &self.clusters {
            cluster.tell_plugins();
        }
    }

    pub(super) fn tell_health(&self, clusters: &[(Arc<str>, bool)]) {
        for (name, tells) in clusters {
            if let Some(cluster) = self.clusters.iter().find(|known| known.name == *name) {
                cluster.set_tells_health(*tells);
            }
        }
    }

    pub(super) fn stop_accepting(&mut self) {
        for accepts in self.accepting.values() {
            accepts.task.abort();
        }
        self.open.drain();
    }

    pub(super) fn open_connections(&self) -> usize {
        self.open.count()
    }

    pub(super) fn sweep_pools(&self) {
        let now = Instant::now();
        self.clusters.iter().for_each(|cluster| cluster.sweep_pools(now));
    }

    fn cluster(&self, install: ClusterInstall) -> Option<Rc<Cluster>> {
        let before = self.clusters.iter().find(|known| *known.name == *install.config.name);
        let affinity = match &install.affinity {
            Some(policy) => Some(Affinity::new(self.instance(policy)?, policy.policy)),
            None => None,
        };
        let partitioners: Option<Vec<Partitioner>> = install
            .partitioners
            .iter()
            .map(|policy| Some(Partitioner::new(self.instance(policy)?, policy.policy)))
            .collect();
        let balancer = Balancer::new(self.instance(&install.balancer)?, install.balancer.policy);
        let balancing = Balancing::new(balancer, partitioners?);
        let parts = ClusterParts {
            shard: self.context.registry.cluster(self.number, &install.config.name),
            balancing,
            affinity,
            endpoints: install.endpoints,
            waiting: install.waiting,
            worker: self.number,
            tells_health: install.tells_health,
            seed: self.number as u64 + 1,
            config: install.config,
        };
        Some(Rc::new(Cluster::new(parts, before.map(|before| &**before))))
    }

    fn listener(&mut self, install: ListenerInstall, clusters: &Rc<[Rc<Cluster>]>) -> Option<(SocketAddr, Accepting)> {
        let destination = match &install.destination {
            Destined::Cluster(index) => Destination::Cluster(*index),
            Destined::Router(policy) => Destination::Router(Router::new(self.instance(policy)?, policy.policy)),
        };
        let address = install.config.bind;
        let listener = Rc::new(Listener {
            name: install.config.name.as_str().into(),
            shard: self.context.registry.listener(self.number, &install.config.name),
            config: install.config,
            destination,
            clusters: clusters.clone(),
        });
        if let Some(accepts) = self.accepting.remove(&address) {
            accepts.slot.set(Some(listener));
            return Some((address, accepts));
        }
        let socket = install.socket?;
        let slot = Rc::new(ListenerSlot::default());
        slot.set(Some(listener.clone()));
        let acceptor = Acceptor {
            context: self.context.clone(),
            slot: slot.clone(),
            open: self.open.clone(),
            count: install.count,
        };
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = listener::serve(Rc::new(acceptor), socket).await {
                tracing::error!(%address, "listening failed: {error}");
            }
        });
        Some((address, Accepting { slot, task }))
    }

    fn instance(&self, policy: &PolicyRef) -> Option<Rc<RefCell<Instance>>> {
        self.instances.get(&policy.plugin).cloned()
    }
}
