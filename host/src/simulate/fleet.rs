use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_lab as lab;

use crate::plugin::{
    self, Balancer, BalancerOnTrial, CreateError, Instance, PickRequest, Plugin, PolicyConfig, Role, Services,
};
use crate::snapshot::{Availability, Endpoint, EndpointCounters, EndpointSet};

/// A component as the balancer of some proxies of some workers: an instance of its own on each worker, counters that all
/// workers of a proxy share.
pub(super) struct Fleet {
    proxies: Vec<Proxy>,
    workers: u32,
    wants_outcomes: bool,
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
    /// Whether the balancers want tables to be made ahead.
    prepares: bool,
    /// By slot; they are the endpoint's for its life.
    counters: Vec<Arc<EndpointCounters>>,
    set: Arc<EndpointSet>,
}

impl Fleet {
    pub(super) fn start(plugin: &Arc<Plugin>, config: &str, scenario: &lab::Scenario) -> Result<Self, CreateError> {
        let proxies: Result<Vec<Proxy>, CreateError> =
            (0..scenario.proxies).map(|number| Proxy::start(plugin, config, scenario, number)).collect();
        let proxies = proxies?;
        let wants_outcomes = proxies.iter().flat_map(|proxy| &proxy.balancers).any(Balancer::wants_outcomes);
        Ok(Self { proxies, workers: scenario.workers, wants_outcomes })
    }

    fn proxy(&self, worker: u32) -> &Proxy {
        &self.proxies[(worker / self.workers) as usize]
    }

    fn balancer(&self, worker: u32) -> &BalancerOnTrial {
        &self.proxy(worker).unhurried[(worker % self.workers) as usize]
    }

    fn counters(&self, worker: u32, slot: u32) -> Option<&EndpointCounters> {
        self.proxy(worker).counters.get(slot as usize).map(|counters| &**counters)
    }
}

impl Proxy {
    fn start(plugin: &Arc<Plugin>, config: &str, scenario: &lab::Scenario, number: u32) -> Result<Self, CreateError> {
        // The numbers of proxies must not undo what seeds of neighbouring runs differ by.
        let seed = scenario.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(number) << 32);
        let services = Arc::new(Services::for_trial(seed));
        let config = PolicyConfig {
            role: Role::Balancer,
            scope: "simulation".into(),
            config: config.into(),
            pointer: String::new(),
            known_clusters: Arc::default(),
            of_connections: false,
        };
        let (mut balancers, mut unhurried, mut prepares) = (Vec::new(), Vec::new(), false);
        for worker in 0..scenario.workers {
            let mut instance =
                Instance::start(plugin.clone(), services.clone(), worker).map_err(CreateError::Failed)?;
            let policy = instance.add_policy(config.clone(), Arc::default())?;
            prepares |= instance.prepares(policy);
            let instance = Rc::new(RefCell::new(instance));
            unhurried.push(BalancerOnTrial::new(instance.clone(), policy));
            balancers.push(Balancer::new(instance, policy));
        }
        let counters = scenario.endpoints.iter().map(|_| Arc::default()).collect();
        let (plugin, set) = (plugin.clone(), Arc::default());
        Ok(Self { services, plugin, config, balancers, unhurried, prepares, counters, set })
    }

    fn set_endpoints(&mut self, members: &[lab::Member]) {
        let counters = |member: &lab::Member| self.counters.get(member.slot as usize).cloned().unwrap_or_default();
        let endpoints = members.iter().map(|member| Arc::new(endpoint(member, counters(member))));
        self.set = Arc::new(EndpointSet::new(self.set.generation() + 1, endpoints));
        if let Some(prepared) = self.prepared() {
            self.set = Arc::new(self.set.with_prepared(prepared));
        }
        self.balancers.iter().for_each(|balancer| balancer.set_endpoints(&self.set));
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
        zone: "".into(),
        metadata: Arc::new([]),
        counters,
    }
}

/// The number of the control plane, which is no worker.
const CONTROL: u32 = u32::MAX;

impl lab::Balancer for Fleet {
    fn set_now_ms(&mut self, now_ms: u64) {
        self.proxies.iter().for_each(|proxy| proxy.services.set_now_ms(now_ms));
    }

    fn set_endpoints(&mut self, members: &[lab::Member]) {
        self.proxies.iter_mut().for_each(|proxy| proxy.set_endpoints(members));
    }

    fn pick(&mut self, worker: u32, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, lab::Fault> {
        let choice = self.balancer(worker).pick(PickRequest { key, tried }).map_err(|_| lab::Fault)?;
        Ok(choice.map(|choice| choice.slot))
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
        // A fault is counted, and changes nothing for any request.
        let _ = self.balancer(worker).outcomes(batch);
    }

    fn report_load(&mut self, worker: u32, slot: u32, report: lab::LoadReport) {
        if let Some(counters) = self.counters(worker, slot) {
            counters.report_load(report, self.proxy(worker).services.now_ms());
        }
    }
}
