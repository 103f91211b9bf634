use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_lab as lab;

use super::clients::{Clients, Kind};
use super::contestant::Contestant;
use crate::plugin::{
    self, AffinityOnTrial, Balancer, BalancerOnTrial, Binding, CreateError, Details, Instance, Needs, Node,
    Partitioner, PickRequest, Plugin, PolicyConfig, Role, Services,
};
use crate::proxy::{Balancing, Shown};
use crate::snapshot::{Availability, Endpoint, EndpointCounters, EndpointSet};

/// Plugins that stand around the balancers of a scenario, and what they see of requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Companions {
    /// The outermost first.
    pub(super) partitioners: Vec<Arc<Contestant>>,
    /// Who binds clients.
    pub(super) affinity: Option<Arc<Contestant>>,
    pub(super) kinds: Arc<[Kind]>,
}

impl Companions {
    /// Instances that each worker has of them.
    pub(super) fn count(&self) -> u32 {
        self.partitioners.len() as u32 + u32::from(self.affinity.is_some())
    }
}

/// A component as the balancer of some proxies of some workers: an instance of its own on each worker, counters that all
/// workers of a proxy share.
pub(super) struct Fleet {
    proxies: Vec<Proxy>,
    workers: u32,
    wants_outcomes: bool,
    clients: Clients,
}

struct Proxy {
    services: Arc<Services>,
    plugin: Arc<Plugin>,
    config: PolicyConfig,
    /// One for each worker.
    balancers: Vec<Balancer>,
    /// The same, with a deadline that a busy machine makes nobody pass: what comes of a seed must not depend on who else
    /// runs.
    unhurried: Vec<BalancerOnTrial>,
    /// Where partitioners divide the endpoints, who chooses in their groups.
    divided: Vec<Balancing>,
    affinities: Vec<AffinityOnTrial>,
    /// What the balancers want to see beyond a key.
    needs: Option<Needs>,
    /// Whether the balancers want tables to be made ahead.
    prepares: bool,
    /// By slot; they are the endpoint's for its life.
    counters: Vec<Arc<EndpointCounters>>,
    set: Arc<EndpointSet>,
}

impl Fleet {
    pub(super) fn start(
        contestant: &Contestant,
        companions: &Companions,
        scenario: &lab::Scenario,
    ) -> Result<Self, CreateError> {
        let proxies: Result<Vec<Proxy>, CreateError> =
            (0..scenario.proxies).map(|number| Proxy::start(contestant, companions, scenario, number)).collect();
        let proxies = proxies?;
        let wants_outcomes = proxies.iter().flat_map(|proxy| &proxy.balancers).any(Balancer::wants_outcomes);
        Ok(Self { proxies, workers: scenario.workers, wants_outcomes, clients: Clients::new(companions.kinds.clone()) })
    }

    fn proxy(&self, worker: u32) -> &Proxy {
        &self.proxies[(worker / self.workers) as usize]
    }

    /// The place of a worker among those of its proxy.
    fn place(&self, worker: u32) -> usize {
        (worker % self.workers) as usize
    }

    fn details(&self, needs: Option<&Needs>, asked: lab::Asked) -> Option<Box<Details>> {
        let needs = needs?;
        let values = self.clients.values(&needs.attributes, asked);
        Some(Box::new(Details::new(needs.attributes.clone(), values, needs.keys.then(|| vec![asked.key]))))
    }

    /// Asks the affinity of a worker whom a client is bound to. Answers what it saw, too.
    fn find(&self, worker: u32, asked: lab::Asked) -> Option<(&AffinityOnTrial, plugin::Values, Binding)> {
        let affinity = self.proxy(worker).affinities.get(self.place(worker))?;
        let values = self.clients.values(&affinity.plan().attributes, asked);
        let found = affinity.find(&values).unwrap_or(Binding::Unbound);
        Some((affinity, values, found))
    }

    fn counters(&self, worker: u32, slot: u32) -> Option<&EndpointCounters> {
        self.proxy(worker).counters.get(slot as usize).map(|counters| &**counters)
    }
}

impl Proxy {
    fn start(
        contestant: &Contestant,
        companions: &Companions,
        scenario: &lab::Scenario,
        number: u32,
    ) -> Result<Self, CreateError> {
        // The numbers of proxies must not undo what seeds of neighbouring runs differ by.
        let seed = scenario.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(number) << 32);
        let zone = scenario.zones.get(number as usize % scenario.zones.len().max(1)).cloned().unwrap_or_default();
        let node = Node { id: format!("proxy-{number}"), zone, workers: scenario.workers };
        let services = Arc::new(Services::for_trial(seed).with_node(node));
        let mut proxy = Self {
            plugin: contestant.plugin.clone(),
            config: policy_config(Role::Balancer, contestant),
            balancers: Vec::new(),
            unhurried: Vec::new(),
            divided: Vec::new(),
            affinities: Vec::new(),
            needs: None,
            prepares: false,
            counters: scenario.endpoints.iter().map(|_| Arc::default()).collect(),
            set: Arc::default(),
            services,
        };
        for worker in 0..scenario.workers {
            proxy.add_worker(contestant, companions, worker)?;
        }
        Ok(proxy)
    }

    fn add_worker(&mut self, contestant: &Contestant, companions: &Companions, worker: u32) -> Result<(), CreateError> {
        let (instance, policy) = self.policy(Role::Balancer, contestant, worker)?;
        self.prepares |= instance.borrow().prepares(policy);
        let balancer = Balancer::new(instance.clone(), policy);
        self.needs = balancer.needs();
        self.unhurried.push(BalancerOnTrial::new(instance.clone(), policy));
        self.balancers.push(Balancer::new(instance, policy));
        let mut partitioners = Vec::new();
        for partitioner in &companions.partitioners {
            let (instance, policy) = self.policy(Role::Partitioner, partitioner, worker)?;
            partitioners.push(Partitioner::new(instance, policy));
        }
        if !partitioners.is_empty() {
            let balancing = Balancing::new(balancer, partitioners);
            balancing.hear_needs();
            self.divided.push(balancing);
        }
        if let Some(affinity) = &companions.affinity {
            let (instance, policy) = self.policy(Role::Affinity, affinity, worker)?;
            self.affinities.push(AffinityOnTrial::new(instance, policy));
        }
        Ok(())
    }

    /// A policy of a worker, in an instance of its own.
    fn policy(
        &self,
        role: Role,
        contestant: &Contestant,
        worker: u32,
    ) -> Result<(Rc<RefCell<Instance>>, u32), CreateError> {
        let instance = Instance::start(contestant.plugin.clone(), self.services.clone(), worker);
        let mut instance = instance.map_err(CreateError::Failed)?;
        let policy = instance.add_policy(policy_config(role, contestant), Arc::default())?;
        Ok((Rc::new(RefCell::new(instance)), policy))
    }

    fn set_endpoints(&mut self, members: &[lab::Member]) {
        let counters = |member: &lab::Member| self.counters.get(member.slot as usize).cloned().unwrap_or_default();
        let endpoints = members.iter().map(|member| Arc::new(endpoint(member, counters(member))));
        let before = std::mem::take(&mut self.set);
        self.set = Arc::new(EndpointSet::new(before.generation() + 1, endpoints));
        if let Some(prepared) = self.prepared() {
            self.set = Arc::new(self.set.with_prepared(prepared));
        }
        match self.divided.is_empty() {
            true => self.balancers.iter().for_each(|balancer| balancer.set_endpoints(&self.set)),
            false => self.divided.iter().for_each(|balancing| balancing.set_endpoints(&self.set)),
        }
        for affinity in &self.affinities {
            // A fault is counted, and has nobody bound.
            let _ = affinity.tell(&before, &self.set);
        }
    }

    /// What the control plane of the proxy would hand to the workers with the endpoints.
    fn prepared(&self) -> Option<Vec<u32>> {
        if !self.prepares {
            return None;
        }
        let instance = Instance::start(self.plugin.clone(), self.services.clone(), CONTROL).ok()?;
        plugin::prepare(instance, self.config.clone(), self.set.clone())
    }
}

pub(super) fn endpoint(member: &lab::Member, counters: Arc<EndpointCounters>) -> Endpoint {
    let [_, a, b, c] = (member.slot + 1).to_be_bytes();
    Endpoint {
        slot: member.slot,
        id: member.id.as_str().into(),
        id_hash: Endpoint::id_hash(&member.id),
        host: "".into(),
        // Some layouts hash the address, which an id often is.
        address: member.id.parse().unwrap_or_else(|_| SocketAddr::from(([10, a, b, c], 80))),
        weight: member.weight,
        ramp: member.ramp,
        availability: if member.ready { Availability::Ready } else { Availability::Unavailable },
        is_unhealthy: !member.ready,
        max_connections: member.max_connections,
        priority: member.priority,
        zone: member.zone.as_str().into(),
        metadata: member.metadata.clone().into(),
        counters,
    }
}

/// Whether a plugin has a role, and takes its configuration.
pub(super) fn judge(role: Role, contestant: &Contestant) -> Result<(), CreateError> {
    let services = Arc::new(Services::for_trial(0));
    let mut instance = Instance::start(contestant.plugin.clone(), services, 0).map_err(CreateError::Failed)?;
    instance.add_policy(policy_config(role, contestant), Arc::default()).map(drop)
}

fn policy_config(role: Role, contestant: &Contestant) -> PolicyConfig {
    PolicyConfig {
        role,
        scope: "simulation".into(),
        config: contestant.choice.config.as_str().into(),
        pointer: String::new(),
        known_clusters: Arc::default(),
        of_connections: false,
    }
}

/// The number of the control plane, which is no worker.
const CONTROL: u32 = u32::MAX;

impl lab::Balancer for Fleet {
    fn set_now_ms(&mut self, now_ms: u64) {
        for proxy in &self.proxies {
            proxy.services.set_now_ms(now_ms);
            proxy.unhurried.iter().for_each(|balancer| balancer.tick_if_due(now_ms));
            proxy.affinities.iter().for_each(|affinity| affinity.tick_if_due(now_ms));
        }
    }

    fn set_endpoints(&mut self, members: &[lab::Member]) {
        self.proxies.iter_mut().for_each(|proxy| proxy.set_endpoints(members));
    }

    fn pick(&mut self, worker: u32, asked: lab::Asked, tried: &[u32]) -> Result<Option<u32>, lab::Fault> {
        let (proxy, place) = (self.proxy(worker), self.place(worker));
        let details = self.details(proxy.needs.as_ref(), asked);
        let request = PickRequest { key: asked.key, tried, details: None };
        let choice = match proxy.divided.get(place) {
            Some(balancing) => {
                let groups = balancing.attributes().map(|attributes| self.clients.values(&attributes, asked));
                balancing.pick(request, &Shown { groups: groups.collect(), details }).choice.map_err(|_| lab::Fault)?
            }
            None => {
                let request = PickRequest { details: details.as_deref(), ..request };
                proxy.unhurried[place].pick(request).map_err(|_| lab::Fault)?
            }
        };
        Ok(choice.map(|choice| choice.slot))
    }

    fn bound(&mut self, worker: u32, asked: lab::Asked) -> Option<u32> {
        match self.find(worker, asked)?.2 {
            Binding::Bound(slot) | Binding::Renew(slot) => Some(slot),
            Binding::Lost | Binding::Unbound => None,
        }
    }

    fn answered(&mut self, worker: u32, asked: lab::Asked, slot: u32) {
        let Some((affinity, values, found)) = self.find(worker, asked) else { return };
        if found == Binding::Bound(slot) {
            return;
        }
        // Simulated answers have no headers.
        let response = vec![Vec::new(); affinity.plan().response_headers.len()];
        if let (Ok(edits), Some(client)) = (affinity.bind(&values, slot, &response), asked.key) {
            self.clients.take(client, edits);
        }
    }

    fn begin(&mut self, worker: u32, slot: u32) {
        if let Some(counters) = self.counters(worker, slot) {
            counters.begin(0);
        }
    }

    fn end(&mut self, worker: u32, outcome: &lab::Outcome) {
        let Some(counters) = self.counters(worker, outcome.slot) else { return };
        counters.end();
        if outcome.class.is_failure() {
            counters.count_failure();
        }
        if outcome.status > 0 {
            counters.sample_first_byte(outcome.first_byte_us);
        }
    }

    fn wants_outcomes(&self) -> bool {
        self.wants_outcomes
    }

    fn outcomes(&mut self, worker: u32, batch: &[lab::Outcome]) {
        let (proxy, place) = (self.proxy(worker), self.place(worker));
        match proxy.divided.get(place) {
            Some(balancing) => balancing.outcomes(batch),
            // A fault is counted, and changes nothing for any request.
            None => drop(proxy.unhurried[place].outcomes(batch)),
        }
    }

    fn report_load(&mut self, worker: u32, slot: u32, report: lab::LoadReport) {
        if let Some(counters) = self.counters(worker, slot) {
            counters.report_load(report, self.proxy(worker).services.now_ms());
        }
    }
}
