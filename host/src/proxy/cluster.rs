use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use plimsoll_http1::HeadLimits;
use plimsoll_resilience::{By, Fleet, Open, Unusable, claim};

use super::attributes::Visible;
use super::balancing::{Balancing, Pick, Within};
use super::context::{BATCH, Context, Gathering, OutcomeBatch};
use super::first_bytes::Interest;
use super::hash_key::HashOn;
use super::load_report;
use super::queue::{Queue, Room};
use crate::config;
use crate::error::ErrorKind;
use crate::plugin::{Affinity, AttributeValues, Choice, Fault, PickRequest, Values};
use crate::snapshot::{
    AttemptBound, Availability, ConnectionId, ConnectionIds, Endpoint, EndpointSet, Outcome, OutcomeClass, Retrying,
    UnderWay, Waiting,
};
use crate::telemetry::{AttemptOutcome, ClusterShard, LoadReportResult, QueueResult};
use crate::timer::{CallOff, Timers, now_ms};
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
    outcomes: RefCell<Vec<Outcome>>,
    tells_balancer: Cell<bool>,
    tells_health: bool,
    queue: Rc<Queue>,
    under_way: Arc<UnderWay>,
    bound: Option<Rc<AttemptBound>>,
    timers: Timers,
    random: Cell<u64>,
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
    /// The balancer's choice; none when the host chose, or the client was bound.
    pub(super) choice: Option<Choice>,
    pub(super) by: PickedBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PickedBy {
    Balancer,
    Affinity,
    /// The connection of QUIC that the client has with it.
    Connection,
    /// The host, because the balancer failed.
    Fallback,
    /// The host, because what the balancer chose was full.
    Room,
}

impl Picked {
    /// Why it was chosen, in a word: the balancer's, or the host's.
    pub(super) fn reason(&self, cluster: &Cluster) -> Option<Arc<str>> {
        match (self.choice, self.by) {
            (Some(choice), _) => cluster.reason(choice),
            (None, PickedBy::Affinity) => Some("affinity".into()),
            (None, PickedBy::Connection) => Some("connection".into()),
            (None, PickedBy::Fallback) => Some("fallback".into()),
            (None, PickedBy::Room) => Some("room".into()),
            (None, PickedBy::Balancer) => None,
        }
    }
}

/// Whom a request wants to go to.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The endpoint that the client is bound to.
    pub(super) bound: Option<Picked>,
    pub(super) key: Option<u64>,
    /// What the partitioners want to see, the outermost first.
    pub(super) visible: &'a [Values],
    /// Slots that failed the request.
    pub(super) tried: &'a [u32],
}

/// What came of looking for an endpoint: where the attempt has begun.
pub(super) type Claim = plimsoll_resilience::Claim<(Picked, InFlight)>;

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
            tells_health: parts.tells_health,
            queue: queue.unwrap_or_else(|| Queue::new(parts.worker, parts.waiting)),
            under_way: parts.under_way,
            bound,
            timers: parts.timers,
            random: Cell::new(parts.seed | 1),
        };
        // A change of endpoints may have overtaken the configuration.
        let latest = if cluster.generation() > parts.endpoints.generation() {
            cluster.endpoints.borrow().set.clone()
        } else {
            parts.endpoints
        };
        cluster.set_endpoints(&latest);
        cluster
    }

    pub fn generation(&self) -> u64 {
        self.endpoints.borrow().set.generation()
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

    /// Hears anew whether the balancer, or a candidate beside it, wants outcomes.
    pub fn hear_policies(&self) {
        self.tells_balancer.set(self.balancing.wants_outcomes());
    }

    /// Tells the plugins the endpoints that are current here, unless they know them.
    fn tell_plugins(&self) {
        let set = self.endpoints.borrow().set.clone();
        self.balancing.set_endpoints(&set);
        self.hear_policies();
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
            let kept = before.get(endpoint.slot).filter(|kept| kept.pool.serves(endpoint, &settings));
            let pool = kept
                .map_or_else(|| Rc::new(Pool::new(endpoint, &settings, self.shard.clone())), |kept| kept.pool.clone());
            slots[endpoint.slot as usize] =
                Some(Rc::new(LocalEndpoint { endpoint: endpoint.clone(), pool, bound: self.bound.clone() }));
        }
        let now = Rc::new(LocalEndpoints { set, slots });
        *self.endpoints.borrow_mut() = now.clone();
        // Whoever has nowhere else to go waits on: an endpoint may be slow, and not dead.
        if now.untried(&Within::Cluster, &[]).next().is_some() {
            let sick = now.slots.iter().flatten().filter(|local| local.endpoint.is_unhealthy);
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

    /// What the partitioners want to see of a request, the outermost first.
    pub(super) fn visible_to_partitioners(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Vec<Values> {
        self.balancing
            .attributes()
            .map(|attributes| {
                visible.fill(&attributes, values);
                values.to_owned_values()
            })
            .collect()
    }

    /// What its policies and its key depend on of the beginning of a TCP connection.
    pub(super) fn interest(&self) -> Interest {
        let of_partitioners = self.balancing.attributes().map(|attributes| Interest::of_attributes(&attributes));
        let of_affinity = self.affinity.iter().map(|affinity| Interest::of_attributes(&affinity.plan().attributes));
        of_partitioners.chain(of_affinity).fold(self.hash_on.interest(), |all, one| all | one)
    }

    /// The endpoint that a client is bound to, if it can serve it.
    pub(super) fn bound(&self, slot: u32) -> Option<Picked> {
        let endpoints = self.endpoints.borrow();
        let endpoint = endpoints.get(slot).filter(|local| local.endpoint.keeps_bound())?;
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
        claim(&mut Seen { cluster: self, endpoints: &endpoints, wanted }, wanted.tried)
    }

    /// Whether there is an endpoint that may be chosen and has not failed the request.
    pub(super) fn has_other(&self, tried: &[u32]) -> bool {
        self.endpoints.borrow().untried(&Within::Cluster, tried).next().is_some()
    }

    /// Begins a repetition of an attempt, unless as many are under way as the budget has room for.
    pub(super) fn begin_retry(&self) -> Option<Retrying> {
        let active = {
            let endpoints = self.endpoints.borrow();
            endpoints
                .slots
                .iter()
                .flatten()
                .map(|local| local.endpoint.counters.in_flight())
                .fold(0, u32::saturating_add)
        };
        self.under_way.begin_retry(self.config.retries.policy.budget.allows(active))
    }

    /// The balancer's word for its choice.
    fn reason(&self, choice: Choice) -> Option<Arc<str>> {
        self.balancing.reason(choice)
    }

    /// Notes what became of an attempt: in the counters now, for the plugins in a batch.
    pub(super) fn note(self: &Rc<Self>, context: &Context, local: &LocalEndpoint, outcome: Outcome) {
        let counters = &local.endpoint.counters;
        if outcome.class.is_failure() {
            counters.count_failure();
        }
        self.shard.attempt(attempt_label(outcome.class));
        if self.config.adaptive_concurrency.is_some() {
            self.show(&outcome);
        }
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

    /// Shows by what the bound of attempts is found. Errors may be quick for want of work.
    fn show(&self, outcome: &Outcome) {
        match outcome.class {
            OutcomeClass::Success if outcome.first_byte_us > 0 => {
                self.under_way.adaptive.answered(outcome.first_byte_us);
            }
            OutcomeClass::Timeout => self.under_way.adaptive.answered(outcome.total_us),
            _ => {}
        }
    }

    /// Takes what an endpoint says of its load out of the fields of its answer.
    pub(super) fn note_load(&self, local: &LocalEndpoint, headers: &mut HeaderMap) {
        match load_report::take(headers) {
            Ok(None) => {}
            Ok(Some(report)) => {
                local.endpoint.counters.report(report, now_ms());
                self.shard.load_report(LoadReportResult::Taken);
            }
            Err(load_report::Malformed) => self.shard.load_report(LoadReportResult::Malformed),
        }
    }

    /// Closes upstream connections that nobody has used for too long.
    pub fn sweep_pools(&self, now: Instant) {
        for local in self.endpoints.borrow().slots.iter().flatten() {
            local.pool.sweep(now);
        }
    }

    /// Xorshift (Marsaglia 2003): for the host's own choices and pauses, where any even spread will do.
    pub(super) fn next_random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
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
        let endpoints = self.endpoints.borrow();
        let mut serving = endpoints.slots.iter().flatten().filter(|local| local.endpoint.keeps_bound());
        serving.any(|local| local.has_room())
    }

    fn may_have_room(&self, bound: Option<u32>) -> bool {
        let endpoints = self.endpoints.borrow();
        let bound = bound.and_then(|slot| endpoints.get(slot)).filter(|local| local.endpoint.keeps_bound());
        match bound {
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

impl Gathering for Cluster {
    fn tell_outcomes(&self, context: &Context) {
        let outcomes = std::mem::take(&mut *self.outcomes.borrow_mut());
        if outcomes.is_empty() {
            return;
        }
        if self.tells_balancer.get() {
            self.balancing.outcomes(&outcomes);
        }
        if self.tells_health {
            context.tell(OutcomeBatch { cluster: self.name.clone(), outcomes });
        }
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

    fn untried<'a>(&'a self, within: &'a Within, tried: &'a [u32]) -> impl Iterator<Item = &'a Rc<LocalEndpoint>> {
        self.slots.iter().flatten().filter(move |local| {
            let slot = local.endpoint.slot;
            local.endpoint.takes_new() && !tried.contains(&slot) && within.has(slot)
        })
    }
}

/// What a request sees of its cluster while it looks for an endpoint.
struct Seen<'a> {
    cluster: &'a Cluster,
    endpoints: &'a LocalEndpoints,
    wanted: &'a Wanted<'a>,
}

impl Seen<'_> {
    /// Why an endpoint cannot be chosen.
    fn why_not(&self, within: &Within, slot: u32) -> String {
        let why = match self.endpoints.get(slot) {
            None => "no endpoint".to_owned(),
            Some(_) if !within.has(slot) => "not in the group that was chosen".to_owned(),
            Some(local) if local.endpoint.availability != Availability::Ready => {
                local.endpoint.availability.as_str().to_owned()
            }
            Some(_) => "of weight 0".to_owned(),
        };
        format!("picked slot {slot}, which is {why}")
    }
}

impl Fleet for Seen<'_> {
    type Group = Within;
    type Choice = Choice;
    type Begun = (Picked, InFlight);
    type Fault = Fault;

    #[inline]
    fn pick(&mut self, tried: &[u32]) -> Pick {
        self.cluster.balancing.pick(PickRequest { key: self.wanted.key, tried }, self.wanted.visible)
    }

    fn slot(choice: Choice) -> u32 {
        choice.slot
    }

    #[inline]
    fn is_open(&self, within: &Within, slot: u32) -> bool {
        within.has(slot) && self.endpoints.get(slot).is_some_and(|local| local.endpoint.takes_new())
    }

    fn open<'a>(&'a self, within: &'a Within) -> impl Iterator<Item = Open> {
        self.endpoints.untried(within, &[]).map(|local| {
            let endpoint = &local.endpoint;
            Open { slot: endpoint.slot, priority: endpoint.priority, has_room: local.has_room() }
        })
    }

    #[inline]
    fn begin(&mut self, slot: u32, by: By<Choice>) -> Option<(Picked, InFlight)> {
        let endpoint = self.endpoints.get(slot)?;
        let flight = InFlight::begin(endpoint.clone())?;
        let (choice, by) = match by {
            By::Balancer(choice) => (Some(choice), PickedBy::Balancer),
            By::Fallback => (None, PickedBy::Fallback),
            By::Room => (None, PickedBy::Room),
        };
        Some((Picked { endpoint: endpoint.clone(), choice, by }, flight))
    }

    fn balancer_failed(&mut self, within: &Within, failure: Unusable<Fault>) {
        let balancing = &self.cluster.balancing;
        balancing.count_fallback(match failure {
            Unusable::Fault(fault) => fault,
            Unusable::NotOpen(slot) => balancing.invalid_answer(self.why_not(within, slot)),
            Unusable::Tried(slot) => {
                balancing.invalid_answer(format_args!("picked slot {slot}, which this request has tried"))
            }
        });
    }

    fn random(&mut self, bound: usize) -> usize {
        (self.cluster.next_random() % bound as u64) as usize
    }
}
