use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use tokio::sync::{Notify, mpsc};

use super::relay::Scratch;
use crate::io::Buffers;
use crate::net::Batch;
use crate::plugin::AttributeValues;
use crate::snapshot::{Outcome, Overload};
use crate::telemetry::{AccessLog, ClusterShard, Registry, WorkerShard};
use crate::timer::Timers;
use crate::tls::Challenges;

/// What became of attempts at one cluster, on its way to the control plane.
#[derive(Debug)]
pub struct OutcomeBatch {
    pub cluster: Arc<str>,
    pub outcomes: Vec<Outcome>,
}

/// Who gathers outcomes: a cluster.
pub(super) trait Gathering: std::fmt::Debug {
    /// Tells what it has gathered to whoever wants to know.
    fn tell_outcomes(&self, context: &Context);
}

/// Outcomes that a cluster gathers before it tells them.
pub(super) const BATCH: usize = 1024;
/// How long it gathers.
const GATHER: Duration = Duration::from_millis(20);

/// What all requests of one worker share.
#[derive(Debug)]
pub struct Context {
    pub timers: Timers,
    pub registry: Arc<Registry>,
    pub shard: Arc<WorkerShard>,
    /// None when nothing is logged.
    pub access_log: Option<AccessLog>,
    /// Counts requests that no route took.
    pub(super) unrouted: Arc<ClusterShard>,
    /// Scratch space for attribute values; borrowed only between awaits.
    pub(super) values: RefCell<AttributeValues>,
    pub(super) scratch: Scratch,
    gathered: RefCell<Vec<Rc<dyn Gathering>>>,
    first_gathered: Notify,
    to_control: mpsc::Sender<OutcomeBatch>,
    /// What answers the challenges of orders for certificates.
    pub challenges: Arc<Challenges>,
    /// What is to be refused for want of means.
    pub overload: Arc<Overload>,
    /// Lent to connections while they move something.
    pub buffers: Rc<Buffers>,
    /// What sockets of UDP read into; borrowed only between awaits.
    pub batch: RefCell<Batch>,
    /// As of which second, and how the time is written.
    date: RefCell<(u64, HeaderValue)>,
}

impl Context {
    pub fn new(
        timers: Timers,
        registry: Arc<Registry>,
        worker: usize,
        access_log: Option<AccessLog>,
        to_control: mpsc::Sender<OutcomeBatch>,
        challenges: Arc<Challenges>,
        overload: Arc<Overload>,
    ) -> Self {
        let shard = registry.worker(worker);
        let unrouted = registry.cluster(worker, "");
        Self {
            timers,
            registry,
            shard,
            access_log,
            unrouted,
            values: RefCell::default(),
            scratch: Scratch::default(),
            gathered: RefCell::default(),
            first_gathered: Notify::new(),
            to_control,
            challenges,
            overload,
            buffers: Rc::default(),
            batch: RefCell::default(),
            date: RefCell::new((0, HeaderValue::from_static(""))),
        }
    }

    /// The time as `Date` carries it (RFC 9110 section 5.6.7), made once a second.
    pub(super) fn date(&self) -> HeaderValue {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != second
            && let Ok(text) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            *date = (second, text);
        }
        date.1.clone()
    }

    /// Notes that a cluster has begun to gather outcomes.
    pub(super) fn gathers(&self, cluster: Rc<dyn Gathering>) {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.is_empty() {
            self.first_gathered.notify_one();
        }
        gathered.push(cluster);
    }

    /// Hands a batch to the control plane. It must not wait: when the control plane lags, the batch is dropped and counted.
    pub(super) fn tell(&self, batch: OutcomeBatch) {
        let outcomes = batch.outcomes.len() as u64;
        if self.to_control.try_send(batch).is_err() {
            self.shard.outcomes_dropped(outcomes);
        }
    }

    /// Tells what clusters have gathered, for as long as the worker lives.
    pub async fn tell_outcomes(&self) {
        loop {
            self.first_gathered.notified().await;
            tokio::time::sleep(GATHER).await;
            let gathered = std::mem::take(&mut *self.gathered.borrow_mut());
            for cluster in gathered {
                cluster.tell_outcomes(self);
            }
        }
    }
}
