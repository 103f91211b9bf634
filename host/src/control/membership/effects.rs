//! Puts what health says of endpoints into effect.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::cluster::ClusterState;
use super::events::{EndpointEvent, Event};
use crate::control::state::Control;

/// Telling everyone of a change takes the longer the more endpoints a cluster has, whichever of them changed. So there is a pause of so
/// long for each of them between two times, and of thousands that fail in one moment many are told together.
const PAUSE_PER_ENDPOINT: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The endpoints of a cluster of which health has said something that is not in effect yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold {
    slots: BTreeSet<u32>,
    not_before: Option<Instant>,
}

impl Untold {
    /// True when these are the first.
    fn note(&mut self, changed: &[u32]) -> bool {
        let are_first = self.slots.is_empty() && !changed.is_empty();
        self.slots.extend(changed);
        are_first
    }

    /// From when on they may be told. None when there is nothing to tell.
    fn due(&self, now: Instant) -> Option<Instant> {
        (!self.slots.is_empty()).then(|| self.not_before.map_or(now, |not_before| not_before.max(now)))
    }

    /// What is told now, of a cluster of so many endpoints.
    fn take(&mut self, endpoints: usize, now: Instant) -> BTreeSet<u32> {
        let endpoints = u32::try_from(endpoints).unwrap_or(u32::MAX);
        self.not_before = Some(now + PAUSE_PER_ENDPOINT.saturating_mul(endpoints).min(LONGEST_PAUSE));
        std::mem::take(&mut self.slots)
    }
}

/// Tells of endpoints whose changes had to wait, for as long as there is a control plane.
pub(in crate::control) async fn tell_untold(control: Weak<Control>) {
    loop {
        let (untold, next) = {
            let Some(control) = control.upgrade() else { return };
            (control.untold.clone(), control.tell_due(Instant::now()))
        };
        match next {
            Some(next) => {
                let _ = tokio::time::timeout_at(next.into(), untold.notified()).await;
            }
            None => untold.notified().await,
        }
    }
}

impl Control {
    /// Tells everyone of endpoints of which health has said something, at once or after a pause.
    pub(super) fn put_health_into_effect(&self, cluster: &mut ClusterState, changed: &[u32]) {
        self.remembering.changed();
        let now = Instant::now();
        let are_first = cluster.untold.note(changed);
        match cluster.untold.due(now) {
            Some(due) if due <= now => self.tell_of_health(cluster, now),
            Some(_) if are_first => self.untold.notify_one(),
            _ => {}
        }
    }

    /// Tells whatever has waited long enough. Answers when there will be more.
    fn tell_due(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for cluster in self.lock().clusters.values_mut() {
            match cluster.untold.due(now) {
                Some(due) if due <= now => self.tell_of_health(cluster, now),
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => {}
            }
        }
        next
    }

    fn tell_of_health(&self, cluster: &mut ClusterState, now: Instant) {
        cluster.refresh();
        let told = cluster.untold.take(cluster.members.len(), now);
        for member in told.into_iter().filter_map(|slot| cluster.member(slot)) {
            self.events.tell(Event::Health(EndpointEvent::of(cluster, member)));
        }
        self.publish(cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_told_at_once_and_others_after_a_pause_together() {
        let now = Instant::now();
        let mut untold = Untold::default();
        assert_eq!(untold.due(now), None);
        assert!(untold.note(&[7]));
        assert_eq!(untold.due(now), Some(now));
        assert_eq!(Vec::from_iter(untold.take(1000, now)), [7]);
        assert_eq!(untold.due(now), None);
        assert!(untold.note(&[9, 8]));
        assert!(!untold.note(&[8]), "who waits knows already");
        let pause = Duration::from_millis(20);
        assert_eq!(untold.due(now), Some(now + pause));
        let later = now + pause * 2;
        assert_eq!(untold.due(later), Some(later));
        assert_eq!(Vec::from_iter(untold.take(usize::MAX, later)), [8, 9]);
        untold.note(&[1]);
        assert_eq!(untold.due(later), Some(later + LONGEST_PAUSE));
    }
}
