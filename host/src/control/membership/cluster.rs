use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use plimsoll_resilience::EjectionBounds;

use super::adaptation::Adaptation;
use super::member::{HealthState, Member};
use super::untold::Untold;
use super::warmth::{Circumstances, Warmth};
use super::{Found, Membership};
use crate::config;
use crate::health::ProbeTls;
use crate::snapshot::{Availability, Endpoint, EndpointSet, SlotMap, UnderWay, Waiting, Wishes};
use crate::tls::UpstreamTls;

/// A cluster's membership, with all that makes an endpoint available or not.
#[derive(Clone, Debug)]
pub(in crate::control) struct ClusterState {
    pub(in crate::control) config: Arc<config::Cluster>,
    pub(in crate::control) members: Vec<Member>,
    /// How TLS is spoken to the endpoints, if it is.
    pub(in crate::control) tls: Option<UpstreamTls>,
    /// How each check of its probe speaks TLS, if it does.
    pub(in crate::control) probe_tls: Arc<[Option<ProbeTls>]>,
    /// What sources say, of which the members are made.
    pub(in crate::control) found: Found,
    pub(in crate::control) set: Arc<EndpointSet>,
    /// Who waits for room at the endpoints; shared by all generations.
    pub(in crate::control) waiting: Arc<Waiting>,
    /// What is under way at the endpoints; shared likewise.
    pub(in crate::control) under_way: Arc<UnderWay>,
    pub(super) untold: Untold,
    /// How the bound of attempts is found, if it is.
    adaptation: Option<Adaptation>,
    /// Whether its balancer prepares for endpoints before the workers hear of them.
    pub(in crate::control) prepares: bool,
    /// Generation that its balancer has prepared for last, or is about to.
    pub(in crate::control) prepared: u64,
    /// Generation that the workers were told last.
    pub(in crate::control) told: u64,
    /// Whether new members serve only once probes speak for them.
    holds_new: bool,
    /// Whether so few endpoints are healthy that requests go to all.
    panics: bool,
    /// Of the live cluster: what has been told of that.
    panic_told: bool,
    /// When it came into being.
    began: Instant,
    slots: SlotMap,
    /// Where the member of each slot stands, so that no probe searches thousands of members.
    places: Vec<u32>,
}

impl ClusterState {
    /// The cluster of a configuration, with the members that its sources tell of. Those who were members `before` keep their
    /// slot, counters, health and what the operator said; others may have been made already for the one in `making`.
    pub(in crate::control) fn next(
        config: Arc<config::Cluster>,
        membership: &Membership,
        before: Option<&Self>,
        making: Option<&Self>,
        workers: usize,
    ) -> Self {
        let last = before.or(making);
        let waiting = last.map_or_else(|| Arc::new(Waiting::new(workers)), |last| last.waiting.clone());
        let under_way = last.map(|last| last.under_way.clone()).unwrap_or_default();
        let mut slots = last.map(|last| last.slots.clone()).unwrap_or_default();
        let found = membership.of(&config);
        let ids: Vec<Arc<str>> = found.endpoints.iter().map(|found| found.endpoint.id.as_str().into()).collect();
        let assigned = slots.assign(&ids);
        let holds_new = making.or(before).is_some_and(|last| last.holds_new);
        let known: HashMap<&str, &Member> = making
            .into_iter()
            .chain(before)
            .flat_map(|state| &state.members)
            .map(|member| (member.id(), member))
            .collect();
        let is_probed = config.health.probe.is_some() || config.health.track.is_some();
        // What endpoints have said of themselves holds for as long as they are asked the same.
        let asks_the_same = before.or(making).is_some_and(|last| last.config.health.asks_like(&config.health));
        let members =
            found.endpoints.iter().zip(assigned).map(|(found, slot)| match known.get(found.endpoint.id.as_str()) {
                Some(known) if known.address == found.address => {
                    let wishes = if asks_the_same { known.wishes } else { Wishes::default() };
                    known.as_found(found, slot, wishes)
                }
                _ => {
                    let warmth = if before.is_some() { Warmth::cold() } else { Warmth::beginning() };
                    let mut member = Member::new(found, slot, waiting.clone(), warmth);
                    if holds_new {
                        member.hold();
                    }
                    if let Some(before) = membership.remembered.get(&config.name, member.id(), member.address) {
                        member.recall(before, is_probed);
                    }
                    member
                }
            });
        let members: Vec<Member> = members.collect();
        let places = places(&members);
        let adaptation = Adaptation::of(&config, before.or(making).and_then(|last| last.adaptation.as_ref()));
        let mut cluster = Self {
            config,
            members,
            tls: making.or(before).and_then(|last| last.tls.clone()),
            probe_tls: making.or(before).map(|last| last.probe_tls.clone()).unwrap_or_default(),
            found,
            set: last.map_or_else(Arc::default, |last| last.set.clone()),
            waiting,
            untold: last.map(|last| last.untold.clone()).unwrap_or_default(),
            adaptation,
            under_way,
            prepares: last.is_some_and(|last| last.prepares),
            prepared: last.map_or(0, |last| last.prepared),
            told: last.map_or(0, |last| last.told),
            holds_new,
            panics: last.is_some_and(|last| last.panics),
            panic_told: before.is_some_and(|before| before.panic_told),
            began: last.map_or_else(Instant::now, |last| last.began),
            slots,
            places,
        };
        cluster.refresh();
        cluster
    }

    /// Takes new members out of service until probes speak for them, if that is wanted, now and from now on.
    pub(in crate::control) fn hold_new_members(&mut self, holds: bool) {
        self.holds_new = holds;
        if holds {
            let new = self.members.iter_mut().filter(|member| member.fresh && !member.is_recalled);
            new.for_each(Member::hold);
            self.refresh();
        }
    }

    /// Goes live in the place of `current`, with what happened to it while this state was being prepared. Where the workers'
    /// balancer `stays` and prepares for endpoints, it does so for these before they hear of them.
    pub(in crate::control) fn go_live(&mut self, membership: &Membership, current: Option<&Self>, stays: bool) {
        let prepares = self.prepares;
        let mut live = Self::next(self.config.clone(), membership, current, Some(&*self), 0);
        for member in &mut live.members {
            member.fresh = false;
        }
        live.prepares = prepares;
        live.refresh();
        if let Some(adaptation) = &live.adaptation {
            adaptation.enforce(&live.under_way);
        }
        let endpoints = live.endpoints_like(&self.set);
        let last = current.map_or(0, |current| current.set.generation());
        if self.set.generation() > last && holds(&self.set, &endpoints) {
            // What policies were created with, so that they have nothing more to be told.
            live.set = self.set.clone();
        } else if current.is_none_or(|current| !holds(&current.set, &endpoints)) {
            let last = last.max(self.set.generation());
            live.set = Arc::new(EndpointSet::new(last + 1, endpoints));
        }
        (live.prepared, live.told) = match current {
            Some(current) if stays && prepares => (current.prepared, current.told),
            _ => (live.set.generation(), live.set.generation()),
        };
        *self = live;
    }

    /// Takes over what sources say by now. True when that changes something.
    pub(in crate::control) fn renew(&mut self, membership: &Membership) -> bool {
        if membership.of(&self.config) == self.found {
            return false;
        }
        *self = Self::next(self.config.clone(), membership, Some(&*self), None, 0);
        for member in &mut self.members {
            member.fresh = false;
        }
        self.refresh();
        true
    }

    /// Lets everyone serve whom live traffic has put out of service: the evaluator that would have ended that is gone.
    pub(in crate::control) fn forgive_traffic(&mut self) {
        for member in &mut self.members {
            if member.is_ejected() {
                member.health = HealthState::Healthy;
            }
        }
        self.refresh();
    }

    /// Makes the next generation of the set from the members, unless it is that of the members already.
    pub(in crate::control) fn refresh(&mut self) {
        self.warm_up();
        self.panics = self.is_panic();
        let (panics, members) = (self.panics, &mut self.members);
        for member in members.iter_mut().filter(|member| member.is_ready(panics)) {
            member.is_deregistered = false;
        }
        let endpoints = self.endpoints_like(&self.set);
        if !holds(&self.set, &endpoints) {
            self.set = Arc::new(EndpointSet::new(self.set.generation() + 1, endpoints));
        }
    }

    /// The members as endpoints. Those in which nothing changed stay the same object, which makes the difference cheap to
    /// find.
    fn endpoints_like(&self, before: &EndpointSet) -> Vec<Arc<Endpoint>> {
        let endpoints = self.members.iter().map(|member| {
            let endpoint = Endpoint { availability: self.availability(member), ..member.endpoint() };
            match before.get(member.slot) {
                Some(known) if same(known, &endpoint) => known.clone(),
                _ => Arc::new(endpoint),
            }
        });
        endpoints.collect()
    }

    /// Lets the members become as warm as they should be by now. True when that changed the weight of one.
    pub(in crate::control) fn warm_up(&mut self) -> bool {
        let (now, began) = (Instant::now(), self.began);
        let slow_start = self.config.slow_start.as_ref();
        let mut changed = false;
        for member in &mut self.members {
            // What is not live yet has not begun to warm up.
            let in_service = !member.fresh && member.availability() != Availability::Unavailable;
            let next = member.warmth.next(Circumstances { now, slow_start, began, in_service });
            changed |= next.ramp() != member.warmth.ramp();
            member.warmth = next;
        }
        changed
    }

    /// Finds how many attempts may be under way, by how long answers take.
    pub(in crate::control) fn adapt(&mut self) {
        if let Some(adaptation) = &mut self.adaptation {
            adaptation.follow(&self.under_way, &self.waiting);
        }
    }

    /// How many attempts may be under way, where that is found by how long answers take.
    pub(in crate::control) fn concurrency_limit(&self) -> Option<u32> {
        self.adaptation.as_ref().map(Adaptation::limit)
    }

    pub(in crate::control) fn member(&self, slot: u32) -> Option<&Member> {
        self.members.get(self.place(slot)?)
    }

    pub(in crate::control) fn member_mut(&mut self, slot: u32) -> Option<&mut Member> {
        let place = self.place(slot)?;
        self.members.get_mut(place)
    }

    fn place(&self, slot: u32) -> Option<usize> {
        self.places.get(slot as usize).map(|place| *place as usize)
    }

    /// Whether live traffic may put an endpoint out of service, beside those that are out: no more than the configured share,
    /// but one where there is another to go to, and none that would leave too few.
    pub(in crate::control) fn may_eject(&self, slot: u32) -> bool {
        let health = &self.config.health;
        let members = self.members.len();
        let bounds = EjectionBounds { max_percent: health.max_ejected_percent, min_available: health.min_available };
        let ejected = self.members.iter().filter(|member| member.is_ejected()).count();
        let others = self.members.iter().filter(|member| member.slot != slot);
        let left = others.filter(|member| member.availability() == Availability::Ready).count();
        bounds.allow(members, ejected, left)
    }

    /// What an endpoint may take: when too few are healthy, all whom the operator leaves in take requests.
    pub(in crate::control) fn availability(&self, member: &Member) -> Availability {
        if member.is_ready(self.panics) { Availability::Ready } else { member.availability() }
    }

    /// Whether so few endpoints are healthy that requests go to all.
    pub(in crate::control) fn panics(&self) -> bool {
        self.panics
    }

    /// Whether that has begun or ended since it was told last; it counts as told then.
    pub(in crate::control) fn panic_to_tell(&mut self) -> bool {
        std::mem::replace(&mut self.panic_told, self.panics) != self.panics
    }

    fn is_panic(&self) -> bool {
        let wanted: Vec<&Member> = self.members.iter().filter(|member| member.is_wanted()).collect();
        let healthy = wanted.iter().filter(|member| member.health == HealthState::Healthy).count();
        healthy * 100 < wanted.len() * self.config.health.panic_percent as usize
    }
}

/// By slot; of those without a member, beyond the last.
fn places(members: &[Member]) -> Vec<u32> {
    let slots = members.iter().map(|member| member.slot as usize + 1).max().unwrap_or(0);
    let mut places = vec![u32::MAX; slots];
    for (place, member) in (0..).zip(members) {
        places[member.slot as usize] = place;
    }
    places
}

/// Whether a set has just these endpoints. One of no generation is none yet.
fn holds(set: &EndpointSet, endpoints: &[Arc<Endpoint>]) -> bool {
    let is_known = |endpoint: &Arc<Endpoint>| set.get(endpoint.slot).is_some_and(|known| same(known, endpoint));
    set.generation() > 0 && set.iter().count() == endpoints.len() && endpoints.iter().all(is_known)
}

fn same(a: &Endpoint, b: &Endpoint) -> bool {
    std::ptr::eq(a, b)
        || a.id == b.id
            && a.address == b.address
            && a.host == b.host
            && a.weight == b.weight
            && a.ramp == b.ramp
            && a.availability == b.availability
            && a.is_unhealthy == b.is_unhealthy
            && a.priority == b.priority
            && a.max_connections == b.max_connections
            && a.zone == b.zone
            && a.metadata == b.metadata
            && Arc::ptr_eq(&a.counters, &b.counters)
}
