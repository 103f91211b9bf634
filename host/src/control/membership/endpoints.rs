use std::sync::Arc;

use super::cluster::ClusterState;
use super::events::{EndpointEvent, Event};
use super::member::{HealthState, Member};
use crate::control::state::Control;
use crate::plugin::{Evidence, ProbeResult, Transition, Verdict};
use crate::snapshot::{Availability, Mode, Reported, Wishes};
use crate::telemetry::{ClusterSample, EndpointSample};
use crate::timer;

/// What an operator changes about an endpoint; what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointPatch {
    /// 0 to 65535. It lasts until the configuration of the endpoint changes.
    pub weight: Option<u32>,
    /// True: keep the clients bound to it, take nothing new.
    pub drain: Option<bool>,
    /// False: take nothing at all.
    pub enabled: Option<bool>,
}

#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    #[error("no cluster of the name `{0}`")]
    UnknownCluster(String),
    #[error("no endpoint `{0}` in the cluster")]
    UnknownEndpoint(String),
    #[error("weight must be from 0 to 65535, found {0}")]
    Weight(u32),
}

impl Control {
    /// Changes an endpoint, and tells all workers, which take it over within a moment. Answers the generation of the
    /// endpoints that has the change: see [`Self::workers_told`].
    pub fn patch_endpoint(&self, cluster: &str, endpoint: &str, patch: EndpointPatch) -> Result<u64, PatchError> {
        if let Some(weight) = patch.weight.filter(|weight| *weight > 65_535) {
            return Err(PatchError::Weight(weight));
        }
        let mut state = self.lock();
        let cluster = state.clusters.get_mut(cluster).ok_or_else(|| PatchError::UnknownCluster(cluster.to_owned()))?;
        let member = cluster
            .members
            .iter_mut()
            .find(|member| member.id() == endpoint)
            .ok_or_else(|| PatchError::UnknownEndpoint(endpoint.to_owned()))?;
        member.weight = patch.weight.or(member.weight);
        member.draining = patch.drain.unwrap_or(member.draining);
        member.disabled = patch.enabled.map_or(member.disabled, |enabled| !enabled);
        let slot = member.slot;
        self.put_into_effect(cluster, slot);
        tracing::info!(target: "audit", cluster = cluster.config.name, endpoint, ?patch, "endpoint changed");
        Ok(cluster.set.generation())
    }

    /// Puts the opinions of a cluster's health evaluator into effect, as far as the operator's bounds allow.
    pub(in crate::control) fn judge(&self, cluster: &str, transitions: Vec<Transition>) {
        if transitions.is_empty() {
            return;
        }
        let mut state = self.lock();
        let Some(cluster) = state.clusters.get_mut(cluster) else { return };
        let changed = transitions.iter().filter(|transition| take_effect(cluster, transition));
        let changed: Vec<u32> = changed.map(|transition| transition.slot).collect();
        self.put_health_into_effect(cluster, &changed);
    }

    /// Tells everyone of an endpoint of which the operator has said something.
    pub(super) fn put_into_effect(&self, cluster: &mut ClusterState, slot: u32) {
        cluster.refresh();
        self.remembering.changed();
        if let Some(member) = cluster.member(slot) {
            self.events.tell(Event::Administration(EndpointEvent::of(cluster, member)));
        }
        self.publish(cluster);
    }

    /// Says when requests begin and end to go to endpoints that are not healthy.
    pub(in crate::control) fn tell_panic(&self, cluster: &mut ClusterState) {
        if !cluster.panic_to_tell() {
            return;
        }
        let (name, percent) = (&cluster.config.name, cluster.config.health.panic_percent);
        if cluster.panics() {
            tracing::warn!(
                cluster = name,
                "less than {percent} % of the endpoints are healthy: requests go to all of them"
            );
        } else {
            tracing::info!(
                cluster = name,
                "at least {percent} % of the endpoints are healthy: requests go to these alone again"
            );
        }
        self.events.tell(Event::panic(cluster));
    }

    /// Shows balancers what an endpoint said of its load to a probe.
    pub(in crate::control) fn note_load(&self, cluster: &str, slot: u32, report: Reported) {
        let mut state = self.lock();
        if let Some(member) = state.clusters.get_mut(cluster).and_then(|cluster| cluster.member_mut(slot)) {
            member.counters.report(report, timer::now_ms());
        }
    }

    /// The endpoints of other clusters that a probe of this one counts for: their clusters and slots.
    pub(in crate::control) fn trackers(&self, cluster: &str, slot: u32) -> Vec<(Arc<str>, u32)> {
        let state = self.lock();
        let tracks = |other: &&ClusterState| other.config.health.track.as_deref() == Some(cluster);
        let mut trackers = state.clusters.values().filter(tracks).peekable();
        if trackers.peek().is_none() {
            return Vec::new();
        }
        let Some(probed) = state.clusters.get(cluster).and_then(|cluster| cluster.member(slot)) else {
            return Vec::new();
        };
        let same = trackers.filter_map(|tracker| {
            let member = tracker.members.iter().find(|member| member.id() == probed.id())?;
            Some((tracker.config.name.as_str().into(), member.slot))
        });
        same.collect()
    }

    /// What the evaluator has made of an endpoint; one that is gone needs no hurry.
    pub(in crate::control) fn is_healthy(&self, cluster: &str, slot: u32) -> bool {
        let mut state = self.lock();
        let member = state.clusters.get_mut(cluster).and_then(|cluster| cluster.member_mut(slot));
        member.is_none_or(|member| member.health == HealthState::Healthy)
    }

    /// Lets an endpoint serve that was only out because it was so before the start: a probe has passed.
    pub(in crate::control) fn release_recalled(&self, cluster: &str, slot: u32) {
        let mut state = self.lock();
        let Some(cluster) = state.clusters.get_mut(cluster) else { return };
        let Some(member) = cluster.member_mut(slot).filter(|member| member.is_recalled) else { return };
        (member.is_recalled, member.health) = (false, HealthState::Healthy);
        self.put_health_into_effect(cluster, &[slot]);
    }

    /// Treats an endpoint as it wants to be, from now on.
    pub(in crate::control) fn grant(&self, cluster: &str, slot: u32, said: Wishes) {
        if said.is_empty() {
            return;
        }
        let mut state = self.lock();
        let Some(cluster) = state.clusters.get_mut(cluster) else { return };
        let Some(member) = cluster.member_mut(slot) else { return };
        let (before, wishes) = (member.wishes, member.wishes.then(said));
        if wishes == before {
            return;
        }
        member.wishes = wishes;
        // Weights change with every load, which is no news.
        if wishes.mode != before.mode {
            let endpoint = member.id().to_owned();
            let mode = wishes.mode.unwrap_or_default().as_str();
            tracing::info!(cluster = cluster.config.name, endpoint, mode, "endpoint wants to be treated so");
        }
        self.put_health_into_effect(cluster, &[slot]);
    }

    /// Remembers what came of a probe. Answers whether the endpoint has had requests since the one before.
    pub(in crate::control) fn note_probe(&self, cluster: &str, result: &ProbeResult) -> bool {
        let mut state = self.lock();
        let member = state.clusters.get_mut(cluster).and_then(|cluster| cluster.member_mut(result.slot));
        member.is_none_or(|member| {
            let requests = member.counters.requests();
            member.heard.note(result, requests)
        })
    }

    /// Tells everyone of members that have warmed up.
    pub(in crate::control) fn warm_up(&self, cluster: &str) {
        let mut state = self.lock();
        let Some(cluster) = state.clusters.get_mut(cluster) else { return };
        if cluster.warm_up() {
            cluster.refresh();
            self.publish(cluster);
        }
    }

    pub(in crate::control) fn adapt(&self, cluster: &str) {
        if let Some(cluster) = self.lock().clusters.get_mut(cluster) {
            cluster.adapt();
        }
    }

    pub(in crate::control) fn cluster_samples(&self) -> Vec<ClusterSample> {
        let sample = |cluster: &ClusterState, member: &Member| EndpointSample {
            endpoint: member.id().into(),
            in_flight: member.counters.in_flight(),
            requests: member.counters.requests(),
            failures: member.counters.failures(),
            weight: member.effective_weight(),
            ramp: member.ramp(),
            available: cluster.availability(member) != Availability::Unavailable,
            draining: member.effective_mode() == Mode::Draining,
            first_byte_us: member.counters.first_byte_us(),
        };
        let state = self.lock();
        let clusters = state.clusters.values().map(|cluster| ClusterSample {
            cluster: cluster.config.name.as_str().into(),
            panics: cluster.panics(),
            concurrency_limit: cluster.concurrency_limit(),
            endpoints: cluster.members.iter().map(|member| sample(cluster, member)).collect(),
        });
        clusters.collect()
    }
}

/// True when the transition changed something.
fn take_effect(cluster: &mut ClusterState, transition: &Transition) -> bool {
    let name = cluster.config.name.clone();
    let by_traffic = transition.verdict == Verdict::Unhealthy && transition.evidence == Evidence::Traffic;
    let full = by_traffic && !cluster.may_eject(transition.slot);
    // The endpoint may have gone since.
    let Some(member) = cluster.member_mut(transition.slot) else { return false };
    let next = match transition.verdict {
        Verdict::Healthy => HealthState::Healthy,
        Verdict::Unhealthy => {
            HealthState::Unhealthy { evidence: transition.evidence, reason: transition.reason.clone() }
        }
    };
    // What probes say is kept for as long as they say it: it is no verdict of live traffic, whose share is bounded.
    let stays = match (&member.health, &next) {
        (HealthState::Unhealthy { evidence: Evidence::Probe, .. }, HealthState::Unhealthy { evidence, .. }) => {
            *evidence == Evidence::Traffic
        }
        (before, next) => before == next,
    };
    if stays {
        return false;
    }
    let endpoint = member.id();
    if full {
        tracing::warn!(
            cluster = name,
            endpoint,
            reason = transition.reason,
            "endpoint fails, but stays: live traffic has put out as many as it may"
        );
        return false;
    }
    tracing::info!(cluster = name, endpoint, verdict = ?transition.verdict, reason = transition.reason, "endpoint health changed");
    member.health = next;
    member.is_recalled = false;
    true
}
