use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::cluster::ClusterState;
use super::probing::{Prober, Probes};
use crate::control::task::Task;

/// For whom clusters are taken care of.
pub(super) trait Caretaker: Send + Sync + 'static {
    /// Lets the evaluator of a cluster look at the clock.
    fn tick(&self, cluster: &str);
    /// Looks at the slow start of a cluster's endpoints.
    fn warm_up(&self, cluster: &str);
    /// Finds how many attempts may be under way at a cluster.
    fn adapt(&self, cluster: &str);
}

/// What is done again and again for the clusters that are live. A task lives for as long as what it is for stays as it is;
/// whatever else changes does not restart it.
#[derive(Debug, Default)]
pub(in crate::control) struct Tasks {
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
    /// Looks at how long answers of a cluster take, so far apart.
    Adapt(Arc<str>, Duration),
}

impl Tasks {
    /// Starts what is new, ends what has nothing left to do, and leaves the rest alone. `tick_of` says how far apart the ticks
    /// of a cluster's evaluator are, if it wants any.
    pub(super) fn renew<C: Prober + Caretaker>(
        &mut self,
        control: &Arc<C>,
        clusters: &BTreeMap<Arc<str>, ClusterState>,
        tick_of: impl Fn(&str) -> Option<Duration>,
    ) {
        self.probes.renew(control, clusters);
        let mut before = std::mem::take(&mut self.recurring);
        for (name, cluster) in clusters {
            let tick = tick_of(name).map(|tick| Recurring::Tick(name.clone(), tick));
            let slow_start = cluster.config.slow_start.as_ref();
            let warm = slow_start.map(|slow| Recurring::Warm(name.clone(), (slow.duration / STEPS).max(PACE)));
            let adapt = cluster.config.adaptive_concurrency.map(|_| Recurring::Adapt(name.clone(), ADAPTING));
            for wanted in tick.into_iter().chain(warm).chain(adapt) {
                let task = before.remove(&wanted).unwrap_or_else(|| wanted.start(control));
                self.recurring.insert(wanted, task);
            }
        }
    }
}

/// How often a slow start is looked at in its time.
const STEPS: u32 = 20;
/// And the least time between two looks.
const PACE: Duration = Duration::from_millis(50);

/// How often it is looked at how long answers take.
const ADAPTING: Duration = Duration::from_millis(100);

impl Recurring {
    fn start(&self, control: &Arc<impl Caretaker>) -> Task {
        let (this, control) = (self.clone(), Arc::downgrade(control));
        let (Self::Tick(_, period) | Self::Warm(_, period) | Self::Adapt(_, period)) = self;
        let mut interval = tokio::time::interval(*period);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Task::spawn(async move {
            loop {
                interval.tick().await;
                let Some(control) = control.upgrade() else { return };
                this.run(&*control);
            }
        })
    }

    fn run(&self, control: &impl Caretaker) {
        match self {
            Self::Tick(cluster, _) => control.tick(cluster),
            Self::Warm(cluster, _) => control.warm_up(cluster),
            Self::Adapt(cluster, _) => control.adapt(cluster),
        }
    }
}
