use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::command::{BeginShadow, ClusterInstall, Destined, Install, InstanceNumber, ListenerInstall, PolicyRef};
use super::sockets::{Accepting, QuicBy, Sockets};
use crate::config::{Protocol, SocketKey};
use crate::listener::{Acceptor, OpenConnections, Steering, quic_config};
use crate::plugin::{Affinity, Balancer, Differences, Instance, Partitioner, Router, ShadowPlace};
use crate::proxy::{Balancing, Cluster, ClusterParts, Context, Destination, Listener};
use crate::snapshot::EndpointSet;
use crate::timer::now_ms;

/// What a worker has installed.
pub(super) struct State {
    number: usize,
    /// How many there are.
    workers: usize,
    context: Rc<Context>,
    open: Rc<OpenConnections>,
    instances: HashMap<InstanceNumber, Placed>,
    clusters: Vec<Installed>,
    sockets: Sockets,
}

/// An instance, and the place of a candidate beside it.
struct Placed {
    instance: Rc<RefCell<Instance>>,
    shadow: Rc<ShadowPlace>,
}

/// A cluster with the policies that choose its endpoints: the balancer first.
struct Installed {
    cluster: Rc<Cluster>,
    choosing: Vec<PolicyRef>,
}

impl State {
    pub(super) fn new(number: usize, workers: usize, context: Rc<Context>) -> Self {
        Self {
            number,
            workers,
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
            let placed = Placed { instance: Rc::new(RefCell::new(instance)), shadow: Rc::default() };
            self.instances.insert(number, placed);
        }
        let clusters: Vec<Installed> =
            install.clusters.into_iter().filter_map(|cluster| self.cluster(cluster)).collect();
        self.clusters = clusters;
        let clusters: Rc<[Rc<Cluster>]> = self.clusters.iter().map(|installed| installed.cluster.clone()).collect();
        let mut before = self.sockets.take();
        let mut live = HashMap::new();
        for listener in install.listeners {
            self.listener(listener, &clusters, &mut before, &mut live);
        }
        if self.sockets.go_over_to(live, before) {
            self.open.drain_orphans();
        }
        self.instances.retain(|number, _| used.contains(number));
    }

    /// Gives an instance what those before it want to hand on.
    fn hand_over_to(&self, instance: &mut Instance) {
        for before in self.instances.values() {
            let mut before = before.instance.borrow_mut();
            if before.plugin().name == instance.plugin().name {
                instance.restore(&before.save());
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

    /// Has a candidate decide beside instances that are there.
    pub(super) fn begin_shadow(&self, shadow: BeginShadow) {
        for (number, candidate) in shadow.instances {
            if let Some(Placed { instance, shadow: place }) = self.instances.get(&number) {
                place.begin(&mut instance.borrow_mut(), candidate, shadow.differences.clone(), shadow.recorded.clone());
            }
        }
        self.hear_policies();
    }

    pub(super) fn end_shadow(&self, differences: &Arc<Differences>) {
        self.instances.values().for_each(|placed| placed.shadow.end(differences));
        self.hear_policies();
    }

    /// What clusters tell their policies may be something else than before.
    fn hear_policies(&self) {
        self.clusters.iter().for_each(|known| known.cluster.hear_policies());
    }

    /// Tells policies that asked for it that time has passed. Answers when to come again.
    pub(super) fn tick(&self) -> Option<u64> {
        let now_ms = now_ms();
        let both = |placed: &Placed| {
            let of_live = placed.instance.borrow_mut().tick(now_ms);
            of_live.into_iter().chain(placed.shadow.tick(now_ms)).min()
        };
        self.instances.values().filter_map(both).min()
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

    /// Whether all that was under way is over, also what clients may go on with here that other workers have.
    pub(super) fn is_done(&self) -> bool {
        self.open.count() == 0 && !self.sockets.await_moves()
    }

    /// Lets go of what nobody needs any more.
    pub(super) fn sweep(&mut self) {
        self.sockets.sweep();
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
            under_way: install.under_way,
            timers: self.context.timers.clone(),
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
        let Placed { instance, shadow } = self.instances.get(&balancer.instance)?;
        let balancer = Balancer::new(instance.clone(), balancer.policy).beside(shadow);
        let partitioners: Option<Vec<Partitioner>> =
            partitioners.iter().map(|policy| Some(Partitioner::new(self.instance(*policy)?, policy.policy))).collect();
        Some(Balancing::new(balancer, partitioners?))
    }

    /// A listener at one of its addresses, on the sockets that were there `before`, or on its new ones.
    fn listener(
        &mut self,
        install: ListenerInstall,
        clusters: &Rc<[Rc<Cluster>]>,
        before: &mut HashMap<SocketKey, Accepting>,
        live: &mut HashMap<SocketKey, Accepting>,
    ) -> Option<()> {
        let destination = match install.destination {
            Destined::Cluster(index) => Destination::Cluster(index),
            Destined::Nowhere => Destination::Nowhere,
            Destined::Router(policy) => {
                let Placed { instance, shadow } = self.instances.get(&policy.instance)?;
                Destination::Router(Router::new(instance.clone(), policy.policy).beside(shadow))
            }
        };
        let (address, key) = (install.bind, install.config.socket(install.bind));
        let quic_key = install.config.quic_socket(address);
        let quic_tls = install.tls.as_ref().and_then(|tls| tls.quic.clone());
        let listener = Rc::new(Listener {
            name: install.config.name.as_str().into(),
            shard: self.context.registry.listener(self.number, &install.config.name),
            port: install.port,
            alternative: install.config.http3.as_ref().and_then(|http3| http3.alternative(install.port)),
            quic: quic_tls.as_ref().map(|tls| quic_config(tls.crypto.clone(), &install.config)),
            config: install.config,
            destination,
            tls: install.tls,
            clusters: clusters.clone(),
        });
        let new = || {
            let acceptor = Acceptor::new(self.context.clone(), self.open.clone(), address);
            acceptor.serve_for(listener.clone(), install.count.clone());
            acceptor
        };
        let serving = |accepting: Accepting| {
            accepting.acceptor().serve_for(listener.clone(), install.count.clone());
            accepting
        };
        let carries_datagrams = listener.config.protocol == Protocol::Udp;
        let (datagrams, quic_socket) = if carries_datagrams { (install.udp, None) } else { (None, install.udp) };
        let accepting = match before.remove(&key) {
            Some(accepting) => Some(serving(accepting)),
            None if carries_datagrams => datagrams.and_then(|socket| self.sockets.begin_udp(socket, new)).map(&serving),
            None => install.socket.and_then(|socket| Accepting::begin(new(), socket)),
        };
        live.extend(accepting.map(|accepting| (key, accepting)));
        if let Some(key) = quic_key {
            let quic = match before.remove(&key) {
                Some(accepting) => Some(serving(accepting)),
                None => {
                    let steering = Steering { worker: self.number, workers: self.workers };
                    let by = quic_tls.map(|tls| QuicBy { tls, steering });
                    quic_socket.zip(by).and_then(|(socket, by)| self.sockets.begin_quic(new(), socket, by))
                }
            };
            live.extend(quic.map(|accepting| (key, accepting)));
        }
        Some(())
    }

    fn instance(&self, policy: PolicyRef) -> Option<Rc<RefCell<Instance>>> {
        self.instances.get(&policy.instance).map(|placed| placed.instance.clone())
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
