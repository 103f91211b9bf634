use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attributes::Visible;
use super::context::{BATCH, Context, OutcomeBatch};
use crate::config;
use crate::plugin::{Affinity, Attribute, AttributeValues, Balancer, Choice, PickRequest};
use crate::snapshot::{EndpointSet, Outcome, OutcomeClass};
use crate::telemetry::{AttemptOutcome, ClusterShard};
use crate::upstream::{LocalEndpoint, Pool, PoolSettings};

/// A cluster as one worker sees it.
#[derive(Debug)]
pub struct Cluster {
    pub name: Arc<str>,
    pub config: Arc<config::Cluster>,
    pub shard: Arc<ClusterShard>,
    pub affinity: Option<Affinity>,
    balancer: Balancer,
    hash_on: Vec<Attribute>,
    endpoints: RefCell<Rc<LocalEndpoints>>,
    outcomes: RefCell<Vec<Outcome>>,
    tells_balancer: Cell<bool>,
    tells_health: bool,
    random: Cell<u64>,
}

/// What a [`Cluster`] is made of.
#[derive(Debug)]
pub struct ClusterParts {
    pub config: Arc<config::Cluster>,
    pub shard: Arc<ClusterShard>,
    pub balancer: Balancer,
    pub affinity: Option<Affinity>,
    pub hash_on: Vec<Attribute>,
    pub endpoints: Arc<EndpointSet>,
    /// Whether the cluster's health evaluator wants outcomes.
    pub tells_health: bool,
    pub seed: u64,
}

/// The endpoints of one generation with this worker's pools, by slot.
#[derive(Debug, Default)]
struct LocalEndpoints {
    set: Arc<EndpointSet>,
    slots: Vec<Option<Rc<LocalEndpoint>>>,
}

/// The endpoint of an attempt.
#[derive(Clone, Debug)]
pub(super) struct Picked {
    pub(super) endpoint: Rc<LocalEndpoint>,
    /// The balancer's choice; none when the host chose in its stead, or the client was bound.
    pub(super) choice: Option<Choice>,
    pub(super) by: PickedBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PickedBy {
    Balancer,
    Affinity,
    Fallback,
}

impl Cluster {
    /// Pools of `before`, the same cluster in the previous configuration, live on.
    pub fn new(parts: ClusterParts, before: Option<&Self>) -> Self {
        let tells_balancer = parts.balancer.wants_outcomes();
        let cluster = Self {
            name: parts.config.name.as_str().into(),
            config: parts.config,
            shard: parts.shard,
            affinity: parts.affinity,
            balancer: parts.balancer,
            hash_on: parts.hash_on,
            endpoints: RefCell::new(before.map(|before| before.endpoints.borrow().clone()).unwrap_or_default()),
            outcomes: RefCell::default(),
            tells_balancer: Cell::new(tells_balancer),
            tells_health: parts.tells_health,
            random: Cell::new(parts.seed | 1),
        };
        cluster.adopt(parts.endpoints);
        cluster
    }

    pub fn generation(&self) -> u64 {
        self.endpoints.borrow().set.generation()
    }

    /// Goes over to another generation of endpoints, and tells the plugins.
    pub fn set_endpoints(&self, set: &Arc<EndpointSet>) {
        self.adopt(set.clone());
        self.tell_plugins();
    }

    /// Tells the plugins the endpoints that are current here. Needed after a new version of one became live, which was
    /// made with the endpoints of a moment before.
    pub fn tell_plugins(&self) {
        let set = self.endpoints.borrow().set.clone();
        self.balancer.set_endpoints(&set);
        self.tells_balancer.set(self.balancer.wants_outcomes());
        if let Some(affinity) = &self.affinity {
            affinity.set_endpoints(&set);
        }
    }

    fn adopt(&self, set: Arc<EndpointSet>) {
        let settings = self.pool_settings();
        let before = self.endpoints.borrow().clone();
        let mut slots: Vec<Option<Rc<LocalEndpoint>>> = Vec::with_capacity(set.slot_count());
        slots.resize(set.slot_count(), None);
        for endpoint in set.iter() {
            let kept = before.get(endpoint.slot).filter(|kept| kept.pool.serves(endpoint.address, &settings));
            let pool = kept.map_or_else(|| Rc::new(Pool::new(endpoint.address, settings)), |kept| kept.pool.clone());
            slots[endpoint.slot as usize] = Some(Rc::new(LocalEndpoint { endpoint: endpoint.clone(), pool }));
        }
        *self.endpoints.borrow_mut() = Rc::new(LocalEndpoints { set, slots });
    }

    fn pool_settings(&self) -> PoolSettings {
        PoolSettings {
            idle_connections: self.config.pool.idle_connections,
            idle_timeout: self.config.pool.idle_timeout,
            connect_timeout: self.config.timeouts.connect,
        }
    }

    /// Hash of the first thing that the cluster hashes on and the request has.
    pub(super) fn key(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Option<u64> {
        if self.hash_on.is_empty() {
            return None;
        }
        visible.first(&self.hash_on, values, |value| xxhash_rust::xxh64::xxh64(value, 0))
    }

    /// The endpoint that a client is bound to, if it can serve it.
    pub(super) fn bound(&self, slot: u32) -> Option<Picked> {
        let endpoints = self.endpoints.borrow();
        let endpoint = endpoints.get(slot).filter(|local| local.endpoint.keeps_bound())?;
        Some(Picked { endpoint: endpoint.clone(), choice: None, by: PickedBy::Affinity })
    }

    /// The endpoint for the next attempt of a request: the balancer's choice, or the host's when the balancer fails or
    /// names what cannot be. None when there is none.
    pub(super) fn pick(&self, key: Option<u64>, tried: &[u32]) -> Option<Picked> {
        let endpoints = self.endpoints.borrow();
        let fault = match self.balancer.pick(PickRequest { key, tried }) {
            Ok(None) => return None,
            Ok(Some(choice)) => match endpoints.usable(choice.slot, tried) {
                Some(endpoint) => {
                    return Some(Picked { endpoint: endpoint.clone(), choice: Some(choice), by: PickedBy::Balancer });
                }
                None => self.balancer.invalid_answer(),
            },
            Err(fault) => fault,
        };
        self.balancer.count_fallback(fault);
        let endpoint = endpoints.any(tried, self.next_random())?;
        Some(Picked { endpoint: endpoint.clone(), choice: None, by: PickedBy::Fallback })
    }

    /// The balancer's word for its choice.
    pub(super) fn reason(&self, choice: Choice) -> Option<Arc<str>> {
        self.balancer.reason(choice)
    }

    /// Notes what became of an attempt: in the counters now, for the plugins in a batch.
    pub(super) fn note(self: &Rc<Self>, context: &Context, local: &LocalEndpoint, outcome: Outcome) {
        let counters = &local.endpoint.counters;
        if outcome.class.is_failure() {
            counters.count_failure();
        }
        self.shard.attempt(attempt_label(outcome.class));
        if outcome.first_byte_us > 0 {
            counters.sample_first_byte(outcome.first_byte_us);
            self.shard.first_byte(Duration::from_micros(outcome.first_byte_us.into()));
        }
        if !(self.tells_balancer.get() || self.tells_health) {
            return;
        }
        let gathered = {
            let mut outcomes = self.outcomes.borrow_mut();
            outcomes.push(outcome);
            outcomes.len()
        };
        if gathered == 1 {
            context.gathers(self.clone());
        } else if gathered >= BATCH {
            self.tell_outcomes(context);
        }
    }

    pub(super) fn tell_outcomes(&self, context: &Context) {
        let outcomes = std::mem::take(&mut *self.outcomes.borrow_mut());
        if outcomes.is_empty() {
            return;
        }
        if self.tells_balancer.get() {
            self.balancer.outcomes(&outcomes);
        }
        if self.tells_health {
            context.tell(OutcomeBatch { cluster: self.name.clone(), outcomes });
        }
    }

    /// Closes upstream connections that nobody has used for too long.
    pub fn sweep_pools(&self, now: Instant) {
        for local in self.endpoints.borrow().slots.iter().flatten() {
            local.pool.sweep(now);
        }
    }

    /// Xorshift (Marsaglia 2003): only the host's own choice uses it, where any even spread will do.
    fn next_random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }
}

fn attempt_label(class: OutcomeClass) -> AttemptOutcome {
    match class {
        OutcomeClass::Success => AttemptOutcome::Success,
        OutcomeClass::ServerError => AttemptOutcome::ServerError,
        OutcomeClass::ConnectFailure => AttemptOutcome::ConnectFailure,
        OutcomeClass::Timeout => AttemptOutcome::Timeout,
        OutcomeClass::Reset => AttemptOutcome::Reset,
        OutcomeClass::ClientAbort => AttemptOutcome::ClientAbort,
    }
}

impl LocalEndpoints {
    fn get(&self, slot: u32) -> Option<&Rc<LocalEndpoint>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The endpoint of a slot if it may be chosen: it takes new requests, and was not tried unless all were.
    fn usable<'a>(&'a self, slot: u32, tried: &'a [u32]) -> Option<&'a Rc<LocalEndpoint>> {
        let local = self.get(slot).filter(|local| local.endpoint.takes_new())?;
        (!tried.contains(&slot) || self.untried(tried).next().is_none()).then_some(local)
    }

    /// Any endpoint that may be chosen, each with the same probability.
    fn any<'a>(&'a self, tried: &'a [u32], random: u64) -> Option<&'a Rc<LocalEndpoint>> {
        let untried = self.untried(tried).count();
        if untried > 0 {
            return self.untried(tried).nth((random % untried as u64) as usize);
        }
        let ready = self.untried(&[]).count();
        if ready == 0 {
            return None;
        }
        self.untried(&[]).nth((random % ready as u64) as usize)
    }

    fn untried<'a>(&'a self, tried: &'a [u32]) -> impl Iterator<Item = &'a Rc<LocalEndpoint>> {
        self.slots
            .iter()
            .flatten()
            .filter(move |local| local.endpoint.takes_new() && !tried.contains(&local.endpoint.slot))
    }
}
