use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use super::cluster::ClusterState;
use super::state::Control;
use crate::health::probe;
use crate::plugin::Target;
use crate::proxy::OutcomeBatch;

/// Hears from the workers what became of attempts, for as long as there is a control plane.
pub(super) async fn hear_outcomes(control: Weak<Control>, mut outcomes: mpsc::Receiver<OutcomeBatch>) {
    while let Some(batch) = outcomes.recv().await {
        let Some(control) = control.upgrade() else { return };
        let transitions = control.evaluation.outcomes(&batch.cluster, &batch.outcomes);
        control.judge(&batch.cluster, transitions);
    }
}

impl Control {
    /// Starts the probes and ticks of the configuration that has just become live, and ends those of the one before.
    pub(super) fn restart_tasks(self: &Arc<Self>) {
        let mut state = self.lock();
        for task in state.tasks.drain(..) {
            task.abort();
        }
        let mut tasks = Vec::new();
        for (name, cluster) in &state.clusters {
            tasks.push(tokio::spawn(tick_cluster(Arc::downgrade(self), name.clone())).abort_handle());
            tasks.extend(self.probes(name, cluster));
            if let Some(slow_start) = &cluster.config.slow_start {
                let pace = (slow_start.duration / STEPS).max(PACE);
                tasks.push(tokio::spawn(warm_cluster(Arc::downgrade(self), name.clone(), pace)).abort_handle());
            }
        }
        state.tasks = tasks;
    }

    fn probes(self: &Arc<Self>, name: &Arc<str>, cluster: &ClusterState) -> Vec<tokio::task::AbortHandle> {
        let Some(settings) = &cluster.config.health.probe else { return Vec::new() };
        let members = cluster.members.len() as u32;
        cluster
            .members
            .iter()
            .enumerate()
            .map(|(position, member)| {
                let probing = Probing {
                    control: Arc::downgrade(self),
                    cluster: name.clone(),
                    slot: member.slot,
                    address: settings.port.map_or(member.address, |port| (member.address.ip(), port).into()),
                    target: Target {
                        address: member.address.to_string(),
                        id: member.id().to_owned(),
                        cluster: name.to_string(),
                    },
                    interval: settings.interval,
                    timeout: settings.timeout,
                };
                // Spread over one interval, so that endpoints are not all probed in the same moment; the first soon.
                let offset = settings.interval.min(Duration::from_secs(1)) * position as u32 / members.max(1);
                tokio::spawn(probing.run(offset)).abort_handle()
            })
            .collect()
    }
}

/// How often a slow start is looked at in its time.
const STEPS: u32 = 20;
/// And the least time between two looks.
const PACE: Duration = Duration::from_millis(50);

async fn warm_cluster(control: Weak<Control>, cluster: Arc<str>, pace: Duration) {
    let mut interval = tokio::time::interval(pace);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(control) = control.upgrade() else { return };
        control.warm_up(&cluster);
    }
}

/// Tells an evaluator that time has passed, at the pace that its plan asks for, if it does. Another version of it may ask
/// for another.
async fn tick_cluster(control: Weak<Control>, cluster: Arc<str>) {
    let Some(mut swaps) = control.upgrade().map(|control| control.evaluation.swaps()) else { return };
    loop {
        swaps.mark_unchanged();
        let Some(tick) = control.upgrade().map(|control| control.evaluation.plan(&cluster).and_then(|plan| plan.tick))
        else {
            return;
        };
        tokio::select! {
            () = tick_every(&control, &cluster, tick) => return,
            swapped = swaps.changed() => if swapped.is_err() { return },
        }
    }
}

/// For as long as there is a control plane.
async fn tick_every(control: &Weak<Control>, cluster: &str, tick: Option<Duration>) {
    let Some(tick) = tick else { return std::future::pending().await };
    let mut interval = tokio::time::interval(tick);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(control) = control.upgrade() else { return };
        let transitions = control.evaluation.tick(cluster);
        control.judge(cluster, transitions);
    }
}

/// The probes of one endpoint, one after the other.
struct Probing {
    control: Weak<Control>,
    cluster: Arc<str>,
    slot: u32,
    address: std::net::SocketAddr,
    target: Target,
    interval: Duration,
    timeout: Duration,
}

impl Probing {
    async fn run(self, offset: Duration) {
        tokio::time::sleep(offset).await;
        let mut interval = tokio::time::interval(self.interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let Some(control) = self.control.upgrade() else { return };
            let evaluation = control.evaluation.clone();
            drop(control);
            let probed =
                probe(&evaluation, &self.cluster, self.slot, self.address, self.target.clone(), self.timeout).await;
            let (Some(probed), Some(control)) = (probed, self.control.upgrade()) else { continue };
            if let Some(report) = probed.report {
                control.note_load(&self.cluster, self.slot, report);
            }
            let Some(result) = probed.result else { continue };
            let transitions = control.evaluation.probed(&self.cluster, &result);
            control.judge(&self.cluster, transitions);
        }
    }
}
