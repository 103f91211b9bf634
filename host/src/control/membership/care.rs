//! What the control plane does for the members of clusters while nothing else changes.

use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::mpsc;

use super::departures::Departed;
use super::member::Member;
use super::probing::{Prober, Standing};
use super::tasks::Caretaker;
use crate::control::state::{Control, State};
use crate::health::{Evaluation, Probed};
use crate::proxy::OutcomeBatch;
use crate::worker::Command;

/// Hears from the workers what became of attempts, for as long as there is a control plane.
pub(in crate::control) async fn hear_outcomes(control: Weak<Control>, mut outcomes: mpsc::Receiver<OutcomeBatch>) {
    while let Some(batch) = outcomes.recv().await {
        let Some(control) = control.upgrade() else { return };
        let transitions = control.evaluation.outcomes(&batch.cluster, &batch.outcomes);
        control.judge(&batch.cluster, transitions);
    }
}

/// Ends what is under way at endpoints whose time is over, for as long as there is a control plane.
pub(in crate::control) async fn end_departed(control: Weak<Control>) {
    loop {
        let (changed, next) = {
            let Some(control) = control.upgrade() else { return };
            for departed in control.departures.due(Instant::now()) {
                control.deregister(&departed);
            }
            (control.departures.changed(), control.departures.next())
        };
        match next {
            Some(next) => {
                // What changes meanwhile is later, or is looked at again.
                let _ = tokio::time::timeout_at(next.into(), changed.notified()).await;
            }
            None => changed.notified().await,
        }
    }
}

impl Control {
    /// Sees to it that the probes and the recurring tasks are those of the clusters as they are: starts what is new, ends
    /// what has nothing left to do, and leaves the rest alone.
    pub(in crate::control) fn renew_tasks(self: &Arc<Self>) {
        self.listen(None);
        let mut state = self.lock();
        let State { tasks, clusters, .. } = &mut *state;
        tasks.renew(self, clusters, |cluster| self.evaluation.plan(cluster)?.tick);
    }
}

impl Control {
    /// Ends what is still under way at an endpoint that has left service; a draining one serves nobody any more.
    fn deregister(&self, departed: &Departed) {
        let Departed { cluster: name, id, counters } = departed;
        if let Some(cluster) = self.lock().clusters.get_mut(name) {
            let same = |member: &&mut Member| Arc::ptr_eq(&member.counters, counters);
            if let Some(member) = cluster.members.iter_mut().find(same) {
                let before = member.availability();
                member.is_deregistered = true;
                if member.availability() != before {
                    let slot = member.slot;
                    self.put_into_effect(cluster, slot);
                }
            }
        }
        let under_way = counters.in_flight();
        if under_way > 0 {
            tracing::info!(
                cluster = &**name,
                endpoint = &**id,
                under_way,
                "endpoint is deregistered: what is under way ends"
            );
        }
        counters.deregister();
        self.send_to_workers(|| Command::Deregister(counters.clone()));
    }
}

impl Control {
    /// What came of a probe of an endpoint of the cluster. Answers whether the endpoint has had requests since the one before.
    fn take_in(&self, cluster: &str, probed: &Probed) -> bool {
        let Some(result) = &probed.result else { return true };
        self.grant(cluster, result.slot, probed.wishes);
        if let Some(report) = &probed.report {
            self.note_load(cluster, result.slot, report.clone());
        }
        let had_requests = self.note_probe(cluster, result);
        let transitions = self.evaluation.probed(cluster, result);
        self.judge(cluster, transitions);
        if result.passed {
            self.release_recalled(cluster, result.slot);
        }
        had_requests
    }
}

impl Prober for Control {
    fn evaluation(&self) -> Arc<Evaluation> {
        self.evaluation.clone()
    }

    fn heard(&self, cluster: &str, slot: u32, probed: Probed) -> Standing {
        for (other, slot) in self.trackers(cluster, slot) {
            self.take_in(&other, &probed.of(slot));
        }
        let had_requests = self.take_in(cluster, &probed);
        let Some(result) = probed.result else { return Standing::Healthy };
        match (self.is_healthy(cluster, slot), result.passed) {
            (true, true) if had_requests => Standing::Healthy,
            (true, true) => Standing::Idle,
            (false, false) => Standing::Unhealthy,
            (true, false) | (false, true) => Standing::InTransition,
        }
    }
}

impl Caretaker for Control {
    fn tick(&self, cluster: &str) {
        let transitions = self.evaluation.tick(cluster);
        self.judge(cluster, transitions);
    }

    fn warm_up(&self, cluster: &str) {
        Self::warm_up(self, cluster);
    }

    fn adapt(&self, cluster: &str) {
        Self::adapt(self, cluster);
    }
}
