use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use plimsoll_resilience::{Attempts, Failed};

use super::cluster::Cluster;
use super::context::Context;
use super::listener::Listener;
use super::picked::Picked;
use crate::error::ErrorKind;
use crate::snapshot::{Outcome, OutcomeClass};
use crate::telemetry::{Carried, ClusterShard, Flag, RetryReason, TunnelEntry};

/// What is known so far of what a client sends at layer 4: of a TCP connection, or of a session of UDP.
pub(super) struct Flow<'a> {
    context: &'a Context,
    listener: &'a Listener,
    time: SystemTime,
    began: Instant,
    pub(super) route: Option<Arc<str>>,
    pub(super) cluster: Option<Rc<Cluster>>,
    picked: Option<Picked>,
    attempts: u32,
    pub(super) flag: Option<Flag>,
}

/// What is told of it at its end, as far as TCP and UDP differ in that.
pub(super) struct Told<'a> {
    pub(super) carried: Carried,
    pub(super) client: SocketAddr,
    pub(super) server_name: Option<&'a str>,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) connect: Option<Duration>,
    pub(super) end: &'static str,
}

impl<'a> Flow<'a> {
    pub(super) fn begin(context: &'a Context, listener: &'a Listener) -> Self {
        Self {
            context,
            listener,
            time: SystemTime::now(),
            began: Instant::now(),
            route: None,
            cluster: None,
            picked: None,
            attempts: 0,
            // What holds if nobody comes to say otherwise.
            flag: Some(Flag::Draining),
        }
    }

    pub(super) fn attempted(&mut self, picked: &Picked) {
        self.attempts += 1;
        self.picked = Some(picked.clone());
    }

    /// Where it is counted, and how long it has lasted.
    pub(super) fn counted(&self) -> (&ClusterShard, Duration) {
        let shard = self.cluster.as_ref().map_or(&self.context.unrouted, |cluster| &cluster.shard);
        (shard, self.began.elapsed())
    }

    /// Writes its line, if there is a log.
    pub(super) fn log(&self, duration: Duration, told: Told<'_>) {
        let Some(access_log) = &self.context.access_log else { return };
        let picked = self.picked.as_ref();
        let reason = picked.zip(self.cluster.as_ref()).and_then(|(picked, cluster)| picked.reason(cluster.balancing()));
        let Told { carried, client, server_name, request_bytes, response_bytes, connect, end } = told;
        access_log.record_tunnel(&TunnelEntry {
            carried,
            time: self.time,
            listener: &self.listener.name,
            client,
            server_name,
            request_bytes,
            response_bytes,
            duration,
            connect,
            cluster: self.cluster.as_ref().map(|cluster| &*cluster.name),
            endpoint: picked.map(|picked| &*picked.endpoint.endpoint.id),
            attempts: self.attempts,
            end,
            flag: self.flag,
            reason: reason.as_deref().unwrap_or_default(),
            route: self.route.as_deref().unwrap_or_default(),
        });
    }
}

/// Whether another attempt follows the one that has failed. It may have to pause before.
pub(super) async fn may_go_on(cluster: &Cluster, attempts: &mut Attempts, slot: u32, error: ErrorKind) -> bool {
    let Some(failure) = error.failure() else { return false };
    let failed = Failed { slot, failure, replayable: true, asked: None };
    let policy = &cluster.config.retries.policy;
    let Some(again) = attempts.failed(policy, failed, || cluster.next_random()) else { return false };
    cluster.shard.retry(RetryReason::ConnectFailure);
    if !again.after.is_zero() {
        tokio::time::sleep(again.after).await;
    }
    true
}

/// Notes what became of an attempt; `connected` is how long it took until the endpoint showed that it is there.
pub(super) fn note(
    context: &Context,
    cluster: &Rc<Cluster>,
    picked: &Picked,
    class: OutcomeClass,
    connected: Option<Duration>,
    started: Instant,
) {
    let micros = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    let outcome = Outcome {
        slot: picked.endpoint.endpoint.slot,
        class,
        status: 0,
        first_byte_us: connected.map_or(0, |connected| micros(connected).max(1)),
        total_us: micros(started.elapsed()),
    };
    cluster.note(context, &picked.endpoint, outcome);
}
