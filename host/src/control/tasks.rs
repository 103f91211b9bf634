use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use super::probing::{Prober, Probes};
use super::state::{Control, State};
use super::task::Task;
use crate::health::{Evaluation, Probed};
use crate::proxy::OutcomeBatch;

/// Hears from the workers what became of attempts, for as long as there is a control plane.
pub(super) async fn hear_outcomes(control: Weak<Control>, mut outcomes: mpsc::Receiver<OutcomeBatch>) {
    while let Some(batch) = outcomes.recv().await {
        let Some(control) = control.upgrade() else { return };
        let transitions = control.evaluation.outcomes(&batch.cluster, &batch.outcomes);
        control.judge(&batch.cluster, transitions);
    }
}

/// What is done again and again for the clusters that are live. A task lives for as long as what it is for stays as it is;
/// whatever else changes does not restart it.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    probes: Probes,
    recurring: HashMap<Recurring, Task>,
}

/// What a recurring task is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Recurring {
    /// Ticks of a cluster's evaluator, so far apart.
    Tick(Arc<str>, Duration),
    /// Looks at the slow start of a cluster's endpoints, so far apart.
    Warm(Arc<str>, Duration),
}

impl Control {
    /// Sees to it that the probes and the recurring tasks are those of the clusters as they are: starts what is new, ends
    /// what has nothing left to do, and leaves the rest alone.
    pub(super) fn renew_tasks(self: &Arc<Self>) {
        self.listen(None);
        let mut state = self.lock();
        let State { tasks, clusters, .. } = &mut *state;
        tasks.probes.renew(self, clusters);
        let mut before = std::mem::take(&mut tasks.recurring);
        for (name, cluster) in &*clusters {
            let tick = self.evaluation.plan(name).and_then(|plan| plan.tick);
            let tick = tick.map(|tick| Recurring::Tick(name.clone(), tick));
            let slow_start = cluster.config.slow_start.as_ref();
            let warm = slow_start.map(|slow| Recurring::Warm(name.clone(), (slow.duration / STEPS).max(PACE)));
            for wanted in tick.into_iter().chain(warm) {
                let task = before.remove(&wanted).unwrap_or_else(|| wanted.start(self));
                tasks.recurring.insert(wanted, task);
            }
        }
    }
}

impl Prober for Control {
    fn evaluation(&self) -> Arc<Evaluation> {
        self.evaluation.clone()
    }

    fn heard(&self, cluster: &str, slot: u32, probed: Probed) {
        if let Some(report) = probed.report {
            self.note_load(cluster, slot, report);
        }
        if let Some(result) = probed.result {
            let transitions = self.evaluation.probed(cluster, &result);
            self.judge(cluster, transitions);
        }
    }
}

/// How often a slow start is looked at in its time.
const STEPS: u32 = 20;
/// And the least time between two looks.
const PACE: Duration = Duration::from_millis(50);

impl Recurring {
    fn start(&self, control: &Arc<Control>) -> Task {
        let (this, control) = (self.clone(), Arc::downgrade(control));
        let (Self::Tick(_, period) | Self::Warm(_, period)) = self;
        let mut interval = tokio::time::interval(*period);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Task::spawn(async move {
            loop {
                interval.tick().await;
                let Some(control) = control.upgrade() else { return };
                this.run(&control);
            }
        })
    }

    fn run(&self, control: &Control) {
        match self {
            Self::Tick(cluster, _) => {
                let transitions = control.evaluation.tick(cluster);
                control.judge(cluster, transitions);
            }
            Self::Warm(cluster, _) => control.warm_up(cluster),
        }
    }
}
