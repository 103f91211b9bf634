use std::net::SocketAddr;
use std::sync::Arc;

use super::heard::Heard;
use super::remembered::RememberedEndpoint;
use super::warmth::Warmth;
use super::{FoundEndpoint, Origin};
use crate::config;
use crate::plugin::Evidence;
use crate::snapshot::{Availability, Endpoint, EndpointCounters, Mode, Waiting, Wishes};

/// One endpoint with what the configuration, the operator and health say about it.
#[derive(Clone, Debug)]
pub struct Member {
    pub config: config::Endpoint,
    texts: Texts,
    pub address: SocketAddr,
    /// Who tells of it.
    pub(in crate::control) origin: Origin,
    pub slot: u32,
    pub counters: Arc<EndpointCounters>,
    pub health: HealthState,
    pub(in crate::control) heard: Heard,
    /// The operator's weight, in the place of the configured one.
    pub weight: Option<u32>,
    pub draining: bool,
    pub disabled: bool,
    /// How it wants to be treated itself, as its probes say.
    pub wishes: Wishes,
    /// Out because it was so before the start, which the first good probe ends, whatever the evaluator says of it.
    pub(super) is_recalled: bool,
    /// It has been out of service for as long as what was under way might go on, and serves nobody since.
    pub(super) is_deregistered: bool,
    pub(super) warmth: Warmth,
    /// Not live in any configuration yet.
    pub(super) fresh: bool,
}

/// What endpoints share with the member that they are made of, again and again.
#[derive(Clone, Debug)]
struct Texts {
    id: Arc<str>,
    id_hash: u64,
    host: Arc<str>,
    zone: Arc<str>,
    metadata: Arc<[(String, String)]>,
}

impl Texts {
    fn of(config: &config::Endpoint) -> Self {
        Self {
            id: config.id.as_str().into(),
            id_hash: Endpoint::id_hash(&config.id),
            host: config.address.host.as_str().into(),
            zone: config.zone.as_str().into(),
            metadata: config.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// What health says of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthState {
    Healthy,
    Unhealthy { evidence: Evidence, reason: String },
}

impl Member {
    pub(super) fn new(found: &FoundEndpoint, slot: u32, waiting: Arc<Waiting>, warmth: Warmth) -> Self {
        Self {
            config: found.endpoint.clone(),
            texts: Texts::of(&found.endpoint),
            address: found.address,
            origin: found.origin.clone(),
            slot,
            counters: Arc::new(EndpointCounters::new(waiting)),
            health: HealthState::Healthy,
            heard: Heard::default(),
            weight: None,
            warmth,
            fresh: true,
            draining: false,
            disabled: false,
            wishes: Wishes::default(),
            is_recalled: false,
            is_deregistered: false,
        }
    }

    /// The same endpoint as it is told of now.
    pub(super) fn as_found(&self, found: &FoundEndpoint, slot: u32, wishes: Wishes) -> Self {
        let (config, origin) = (found.endpoint.clone(), found.origin.clone());
        let texts = if config == self.config { self.texts.clone() } else { Texts::of(&config) };
        Self { config, texts, origin, slot, wishes, ..self.clone() }
    }

    /// Takes it out of service until probes speak for it.
    pub(super) fn hold(&mut self) {
        self.health = HealthState::Unhealthy { evidence: Evidence::Probe, reason: "not yet probed".into() };
    }

    /// Takes over how it was before the start, as far as the configuration is still what it was.
    pub(super) fn recall(&mut self, before: &RememberedEndpoint, is_probed: bool) {
        self.weight = before.weight.filter(|_| before.configured_weight == self.config.weight);
        (self.draining, self.disabled) = (before.draining, before.disabled);
        self.wishes = if is_probed { before.wishes } else { Wishes::default() };
        if let Some(reason) = before.unhealthy.as_ref().filter(|_| is_probed) {
            self.health = HealthState::Unhealthy { evidence: Evidence::Probe, reason: reason.clone() };
            self.is_recalled = true;
        }
    }

    /// Whether there is a word of its probes, by now or before the start.
    pub(super) fn was_probed(&self) -> bool {
        self.is_recalled || self.heard.iter().next().is_some()
    }

    pub fn id(&self) -> &str {
        &self.config.id
    }

    pub fn availability(&self) -> Availability {
        let is_over = self.is_deregistered && self.effective_mode() == Mode::Draining;
        if self.health != HealthState::Healthy || is_over {
            return Availability::Unavailable;
        }
        match self.effective_mode() {
            Mode::Ready => Availability::Ready,
            Mode::Draining => Availability::Draining,
            Mode::Disabled => Availability::Unavailable,
        }
    }

    /// What the operator says of it, or it says itself, whichever goes further.
    pub fn effective_mode(&self) -> Mode {
        let of_operator = match (self.disabled, self.draining) {
            (true, _) => Mode::Disabled,
            (false, true) => Mode::Draining,
            (false, false) => Mode::Ready,
        };
        of_operator.max(self.wishes.mode.unwrap_or_default())
    }

    /// Whether it is to take requests, if it can.
    pub(super) fn is_wanted(&self) -> bool {
        self.effective_mode() == Mode::Ready
    }

    /// Whether it takes requests; where its cluster `panics`, health does not matter.
    pub(super) fn is_ready(&self, panics: bool) -> bool {
        if panics { self.is_wanted() } else { self.availability() == Availability::Ready }
    }

    /// Whether live traffic has put it out of service.
    pub(super) fn is_ejected(&self) -> bool {
        matches!(self.health, HealthState::Unhealthy { evidence: Evidence::Traffic, .. })
    }

    pub fn effective_weight(&self) -> u32 {
        if self.wishes.share() == 0 { 0 } else { self.weight.unwrap_or(self.config.weight) }
    }

    /// Attempts that may be under way; 0 is no bound. What it wants itself makes that less, and never more.
    pub fn max_connections(&self) -> u32 {
        let bounds = [self.config.max_connections, self.wishes.max_connections.unwrap_or(0)];
        bounds.into_iter().filter(|bound| *bound > 0).min().unwrap_or(0)
    }

    /// Share of the weight in force, in thousandths.
    pub fn ramp(&self) -> u32 {
        (self.warmth.ramp() * self.wishes.share() / 1000).max(1)
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            slot: self.slot,
            id: self.texts.id.clone(),
            id_hash: self.texts.id_hash,
            address: self.address,
            host: self.texts.host.clone(),
            weight: self.effective_weight(),
            ramp: self.ramp(),
            availability: self.availability(),
            is_unhealthy: self.health != HealthState::Healthy,
            priority: self.config.priority,
            max_connections: self.max_connections(),
            zone: self.texts.zone.clone(),
            metadata: self.texts.metadata.clone(),
            counters: self.counters.clone(),
        }
    }
}
