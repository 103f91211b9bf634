//! Puts what health says of endpoints into effect.

use std::sync::Weak;
use std::time::Instant;

use super::cluster::ClusterState;
use super::events::{EndpointEvent, Event};
use crate::control::state::Control;

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
