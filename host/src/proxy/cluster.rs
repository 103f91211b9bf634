mod outcomes;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use plimsoll_http1::HeadLimits;
use plimsoll_resilience::claim;

use super::attributes::Visible;
use super::balancing::{Balancing, Within};
use super::context::Context;
use super::first_bytes::Interest;
use super::fleet::Seen;
use super::hash_key::HashOn;
use super::local_endpoints::LocalEndpoints;
use super::picked::{Claim, Picked, PickedBy, Wanted};
use super::queue::{Queue, Room};
use super::random::Random;
use super::shown::Shown;
use crate::config;
use crate::error::ErrorKind;
use crate::plugin::{Affinity, Attribute, AttributeValues, Details, Needs, body_prefix};
use crate::snapshot::{
    AttemptBound, ConnectionId, ConnectionIds, Endpoint, EndpointSet, Outcome, Retrying, UnderWay, Waiting,
};
use crate::telemetry::{ClusterShard, QueueResult};
use crate::timer::{CallOff, Timers};
use crate::tls::UpstreamTls;
use crate::upstream::{InFlight, LocalEndpoint, Pool, PoolSettings};

/// A cluster as one worker sees it.
#[derive(Debug)]
pub struct Cluster {
    pub name: Arc<str>,
    pub config: Arc<config::Cluster>,
    pub shard: Arc<ClusterShard>,
    tls: Option<UpstreamTls>,
    pub affinity: Option<Affinity>,
    balancing: Rc<Balancing>,
    hash_on: HashOn,
    /// Shared with the same cluster of the configurations before that have the same [`Balancing`], for requests that began
    /// with those: what it chooses must be known to them.
    endpoints: Rc<RefCell<Rc<LocalEndpoints>>>,
    /// Not told yet.
    outcomes: RefCell<Vec<Outcome>>,
    tells_balancer: Cell<bool>,
    body_prefix: Cell<usize>,
    tells_health: bool,
    queue: Rc<Queue>,
    under_way: Arc<UnderWay>,
    bound: Option<Rc<AttemptBound>>,
    timers: Timers,
    random: Random,
}

/// What a [`Cluster`] is made of.
#[derive(Debug)]
pub struct ClusterParts {
    pub config: Arc<config::Cluster>,
    pub tls: Option<UpstreamTls>,
    pub shard: Arc<ClusterShard>,
    /// That of `before`, where its policies are the same.
    pub balancing: Rc<Balancing>,
    pub affinity: Option<Affinity>,
    pub endpoints: Arc<EndpointSet>,
    pub waiting: Arc<Waiting>,
    pub under_way: Arc<UnderWay>,
    pub timers: Timers,
    pub worker: usize,
    /// Whether the cluster's health evaluator wants outcomes.
    pub tells_health: bool,
    pub seed: u64,
}

impl Cluster {
    /// Pools of `before`, the same cluster in the previous configuration, live on.
    pub fn new(parts: ClusterParts, before: Option<&Self>) -> Self {
        let endpoints = match before {
            Some(before) if Rc::ptr_eq(&before.balancing, &parts.balancing) => before.endpoints.clone(),
            Some(before) => Rc::new(RefCell::new(before.endpoints.borrow().clone())),
            None => Rc::default(),
        };
        let tells_balancer = parts.balancing.wants_outcomes();
        let (most, is_adaptive) = (parts.config.max_requests, parts.config.adaptive_concurrency.is_some());
        let bound = (most > 0 || is_adaptive).then(|| {
            let (under_way, waiting) = (parts.under_way.clone(), parts.waiting.clone());
            Rc::new(AttemptBound { most, is_adaptive, under_way, waiting })
        });
        let queue = before.map(|before| &before.queue).filter(|queue| queue.is_of(&parts.waiting)).cloned();
        let cluster = Self {
            name: parts.config.name.as_str().into(),
            hash_on: HashOn::new(&parts.config.hash_on),
            config: parts.config,
            shard: parts.shard,
            tls: parts.tls,
            affinity: parts.affinity,
            balancing: parts.balancing,
            endpoints,
            outcomes: RefCell::default(),
            tells_balancer: Cell::new(tells_balancer),
            body_prefix: Cell::default(),
            tells_health: parts.tells_health,
            queue: queue.unwrap_or_else(|| Queue::new(parts.worker, parts.waiting)),
            under_way: parts.under_way,
            bound,
            timers: parts.timers,
            random: Random::new(parts.seed),
        };
        // A change of endpoints may have overtaken the configuration.
        let latest = if cluster.generation() > parts.endpoints.generation() {
            cluster.endpoints.borrow().set().clone()
        } else {
            parts.endpoints
        };
        cluster.set_endpoints(&latest);
        cluster
    }

    pub fn generation(&self) -> u64 {
        self.endpoints.borrow().set().generation()
    }

    /// Goes over to another generation of endpoints, and tells the plugins.
    pub fn set_endpoints(&self, set: &Arc<EndpointSet>) {
        self.adopt(set.clone());
        self.tell_plugins();
        // There may be others to go to, or nobody left to wait for.
        self.queue.go_round(0);
    }

    /// Who chooses its endpoints.
    pub fn balancing(&self) -> &Rc<Balancing> {
        &self.balancing
    }

    /// Hears anew what the balancer, or a candidate beside it, wants.
    pub fn hear_policies(&self) {
        self.balancing.hear_needs();
        let of_partitioners = self.balancing.attributes().map(|attributes| body_prefix(&attributes));
        let of_balancer = self.balancing.needs().map(|needs| body_prefix(&needs.attributes));
        let of_affinity = self.affinity.iter().map(|affinity| body_prefix(&affinity.plan().attributes));
        let of_all = of_partitioners.chain(of_balancer).chain(of_affinity).max().unwrap_or(0);
        self.body_prefix.set(of_all.max(self.hash_on.body_prefix()));
        self.tells_balancer.set(self.balancing.wants_outcomes());
    }

    /// Tells the plugins the endpoints that are current here, unless they know them.
    fn tell_plugins(&self) {
        let set = self.endpoints.borrow().set().clone();
        self.balancing.set_endpoints(&set);
        self.hear_policies();
        if let Some(affinity) = &self.affinity {
            affinity.set_endpoints(&set);
        }
    }

    fn adopt(&self, set: Arc<EndpointSet>) {
        let settings = self.pool_settings();
        let before = self.endpoints.borrow().clone();
        let now = Rc::new(LocalEndpoints::new(set, |endpoint| {
            let kept = before.get(endpoint.slot).filter(|kept| kept.pool.serves(endpoint, &settings));
            let pool = kept
                .map_or_else(|| Rc::new(Pool::new(endpoint, &settings, self.shard.clone())), |kept| kept.pool.clone());
            LocalEndpoint { endpoint: endpoint.clone(), pool, bound: self.bound.clone() }
        }));
        *self.endpoints.borrow_mut() = now.clone();
        // Whoever has nowhere else to go waits on: an endpoint may be slow, and not dead.
        if now.untried(&Within::Cluster, &[]).next().is_some() {
            let sick = now.iter().filter(|local| local.endpoint.is_unhealthy);
            let was_well = |local: &&Rc<LocalEndpoint>| {
                before.get(local.endpoint.slot).is_some_and(|before| !before.endpoint.is_unhealthy)
            };
            for local in sick.filter(was_well) {
                self.timers.call_off(local.subject(), CallOff::Leave);
            }
        }
    }

    fn pool_settings(&self) -> PoolSettings {
        PoolSettings {
            protocol: self.config.protocol,
            tls: self.tls.clone(),
            // A connection that speaks for one client must not carry requests of another.
            idle_connections: if self.config.proxy_protocol.is_some() || self.config.transparent {
                0
            } else {
                self.config.pool.idle_connections
            },
            idle_timeout: self.config.pool.idle_timeout,
            connect_timeout: self.config.timeouts.connect,
            head_limits: HeadLimits { bytes: self.config.limits.header_bytes, fields: self.config.limits.header_count },
        }
    }

    /// Hash of the first thing that the cluster hashes on and the request has.
    pub(super) fn key(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Option<u64> {
        self.hash_on.key(visible, values)
    }

    /// What those who choose endpoints want to see of a request.
    #[inline]
    pub(super) fn shown(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Shown {
        if self.balancing.is_plain() { Shown::default() } else { self.show_more(visible, values) }
    }

    fn show_more(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Shown {
        let see = |attributes: &[Attribute], values: &mut AttributeValues| {
            visible.fill(attributes, values);
            values.to_owned_values()
        };
        let groups = self.balancing.attributes().map(|attributes| see(&attributes, values)).collect();
        let details = self.balancing.needs().map(|Needs { attributes, keys }| {
            let seen = see(&attributes, values);
            let keys = keys.then(|| self.hash_on.keys(visible, values));
            Box::new(Details::new(attributes, seen, keys))
        });
        Shown { groups, details }
    }

    /// How much of a request's body its policies and its key depend on.
    #[inline]
    pub(super) fn body_prefix(&self) -> usize {
        self.body_prefix.get()
    }

    /// What its policies and its key depend on of the beginning of a TCP connection.
    pub(super) fn interest(&self) -> Interest {
        let of_partitioners = self.balancing.attributes().map(|attributes| Interest::of_attributes(&attributes));
        let of_affinity = self.affinity.iter().map(|affinity| Interest::of_attributes(&affinity.plan().attributes));
        let of_balancer = self.balancing.needs().map(|needs| Interest::of_attributes(&needs.attributes));
        of_partitioners.chain(of_affinity).chain(of_balancer).fold(self.hash_on.interest(), |all, one| all | one)
    }

    /// The endpoint that a client is bound to, if it can serve it.
    pub(super) fn bound(&self, slot: u32) -> Option<Picked> {
        let endpoints = self.endpoints.borrow();
        let endpoint = endpoints.bound(slot)?;
        Some(Picked { endpoint: endpoint.clone(), choice: None, by: PickedBy::Affinity })
    }

    /// Ids of QUIC connections that are carried to its endpoints.
    pub(super) fn connection_ids(&self) -> &Arc<ConnectionIds> {
        &self.under_way.connection_ids
    }

    /// The endpoint that a connection of QUIC is with, if it can serve it.
    pub(super) fn of_connection(&self, id: &ConnectionId) -> Option<Picked> {
        let picked = self.bound(id.slot()).filter(|picked| id.is_of(&picked.endpoint.endpoint))?;
        Some(Picked { by: PickedBy::Connection, ..picked })
    }

    /// Whether an endpoint that was picked may keep its clients: it is still there and serves them, or has left, and they have
    /// time to leave, too.
    pub(super) fn keeps(&self, picked: &Picked) -> bool {
        let (endpoints, before) = (self.endpoints.borrow(), &picked.endpoint.endpoint);
        let may_linger = self.config.deregistration_delay.is_some();
        let same = |now: &&Arc<Endpoint>| now.id_hash == before.id_hash && now.address == before.address;
        match endpoints.get(before.slot).map(|local| &local.endpoint).filter(same) {
            Some(now) => now.keeps_bound() || may_linger && !now.is_unhealthy,
            None => may_linger,
        }
    }

    /// The endpoint for the next attempt of a request, unless it has to wait: the one that the client is bound to, or the
    /// balancer's choice, or the host's when the balancer fails or names what cannot be.
    #[inline]
    pub(super) fn claim(&self, wanted: &Wanted<'_>) -> Claim {
        // Those who wait were first.
        if self.queue.is_empty() { self.claim_now(wanted) } else { Claim::Full }
    }

    /// Waits until there is room for the request.
    pub(super) async fn wait(
        self: &Rc<Self>,
        context: &Context,
        mut wanted: Wanted<'_>,
    ) -> Result<(Picked, InFlight), ErrorKind> {
        let bound = wanted.bound.as_ref().map(|bound| bound.endpoint.endpoint.slot);
        let mut place = self.queue.enter(self.clone(), bound)?;
        let begun = async {
            loop {
                place.turn().await;
                // The endpoint as it is now, if it still can serve its clients.
                wanted.bound = wanted.bound.take().and_then(|before| {
                    let now = self.bound(before.endpoint.endpoint.slot)?;
                    Some(Picked { endpoint: now.endpoint, ..before })
                });
                match self.claim_now(&wanted) {
                    Claim::Begun(begun) => return Ok(begun),
                    Claim::Nowhere => return Err(ErrorKind::NoEndpoint),
                    Claim::Full => place.found_no_room(),
                }
            }
        };
        let begun = context.timers.bound(Some(self.config.queue.timeout), begun).await;
        place.ends(match &begun {
            Ok(Ok(_)) => QueueResult::Served,
            Ok(Err(_)) => QueueResult::Other,
            Err(_elapsed) => QueueResult::Timeout,
        });
        begun.unwrap_or(Err(ErrorKind::QueueTimeout))
    }

    fn claim_now(&self, wanted: &Wanted<'_>) -> Claim {
        // A bound client gets no other endpoint for want of room: what it has there is worth more than a moment.
        if let Some(bound) = &wanted.bound {
            return match InFlight::begin(bound.endpoint.clone()) {
                Some(flight) => Claim::Begun((bound.clone(), flight)),
                None => Claim::Full,
            };
        }
        // Nobody need be asked where to.
        if self.bound.as_ref().is_some_and(|bound| !bound.has_room()) {
            return Claim::Full;
        }
        let endpoints = self.endpoints.borrow();
        let mut seen = Seen { balancing: &self.balancing, endpoints: &endpoints, wanted, random: &self.random };
        claim(&mut seen, wanted.tried)
    }

    /// Whether there is an endpoint that may be chosen and has not failed the request.
    pub(super) fn has_other(&self, tried: &[u32]) -> bool {
        self.endpoints.borrow().untried(&Within::Cluster, tried).next().is_some()
    }

    /// Begins a repetition of an attempt, unless as many are under way as the budget has room for.
    pub(super) fn begin_retry(&self) -> Option<Retrying> {
        let active = self.endpoints.borrow().in_flight();
        self.under_way.begin_retry(self.config.retries.policy.budget.allows(active))
    }

    /// For pauses between attempts.
    pub(super) fn next_random(&self) -> u64 {
        self.random.next()
    }

    /// Closes upstream connections that nobody has used for too long.
    pub fn sweep_pools(&self, now: Instant) {
        for local in self.endpoints.borrow().iter() {
            local.pool.sweep(now);
        }
    }
}

impl Room for Cluster {
    fn most_waiting(&self) -> u32 {
        self.config.queue.max_requests
    }

    fn shard(&self) -> &ClusterShard {
        &self.shard
    }

    fn has_room(&self) -> bool {
        self.endpoints.borrow().has_room()
    }

    fn may_have_room(&self, bound: Option<u32>) -> bool {
        let endpoints = self.endpoints.borrow();
        match bound.and_then(|slot| endpoints.bound(slot)) {
            Some(bound) => bound.has_room(),
            None => {
                let mut choosable = endpoints.untried(&Within::Cluster, &[]).peekable();
                choosable.peek().is_none() || choosable.any(|local| local.has_room())
            }
        }
    }

    fn is_divided(&self) -> bool {
        self.balancing.is_divided()
    }
}
