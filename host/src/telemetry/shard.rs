use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::cell::{Counter, Gauge, SharedCounter, SharedLevel, Writers};
use super::histogram::{CALL, Histogram, LASTING, LATENCY};
use super::label::{
    AttemptOutcome, BadRequest, Class, ConnectResult, DatagramDrop, Direction, FallbackReason, Flag, GrpcStatus,
    HedgeResult, LoadReportResult, ProxyHeader, QueueResult, Refusal, RetryReason, SessionEnd, ShadowResult,
    TlsHandshake, TrapKind, TunnelEnd,
};

/// One cell for each value of a label.
pub(super) type Cells<const N: usize> = [Counter; N];

/// What one worker counts about one listener.
#[derive(Debug, Default)]
#[repr(align(64))] // no two workers write the same cache line
pub struct ListenerShard {
    pub(super) connections: Counter,
    pub(super) open: Gauge,
    pub(super) refused: Cells<{ Refusal::ALL.len() }>,
    pub(super) proxy_headers: Cells<{ ProxyHeader::ALL.len() }>,
    pub(super) tls_handshakes: Cells<{ TlsHandshake::ALL.len() }>,
    pub(super) bad_requests: Cells<{ BadRequest::ALL.len() }>,
    pub(super) bytes: Cells<{ Direction::ALL.len() }>,
    pub(super) datagrams: Cells<{ Direction::ALL.len() }>,
    pub(super) datagrams_dropped: Cells<{ DatagramDrop::ALL.len() }>,
}

impl ListenerShard {
    /// Counts an accepted connection, which is open until the guard is dropped.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.increment();
        self.open.increment();
        OpenConnection { shard: self.clone(), on_its_worker: PhantomData }
    }

    pub fn refused(&self, reason: Refusal) {
        self.refused[reason as usize].increment();
    }

    /// Counts how a connection began where the PROXY protocol is spoken.
    pub fn proxy_header(&self, header: ProxyHeader) {
        self.proxy_headers[header as usize].increment();
    }

    pub fn tls_handshake(&self, result: TlsHandshake) {
        self.tls_handshakes[result as usize].increment();
    }

    pub fn bad_request(&self, reason: BadRequest) {
        self.bad_requests[reason as usize].increment();
    }

    #[inline]
    pub fn bytes(&self, direction: Direction, amount: u64) {
        self.bytes[direction as usize].add(amount);
    }

    #[inline]
    pub fn datagrams(&self, direction: Direction, amount: u64) {
        self.datagrams[direction as usize].add(amount);
    }

    pub fn datagrams_dropped(&self, reason: DatagramDrop, amount: u64) {
        self.datagrams_dropped[reason as usize].add(amount);
    }
}

/// One accepted connection; ends when dropped.
pub struct OpenConnection {
    shard: Arc<ListenerShard>,
    /// Not `Send`: the gauge has one writer, the worker that accepted.
    on_its_worker: PhantomData<*const ()>,
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenConnection").finish_non_exhaustive()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.shard.open.decrement();
    }
}

/// What one worker counts about one cluster, or about the requests that no route sent anywhere.
#[derive(Debug)]
#[repr(align(64))]
pub struct ClusterShard {
    pub(super) requests: Cells<{ Class::ALL.len() }>,
    pub(super) duration: Histogram,
    pub(super) flags: Cells<{ Flag::ALL.len() }>,
    pub(super) grpc: Cells<{ GrpcStatus::ALL.len() }>,
    pub(super) attempts: Cells<{ AttemptOutcome::ALL.len() }>,
    pub(super) first_byte: Histogram,
    pub(super) connects: Cells<{ ConnectResult::ALL.len() }>,
    pub(super) retries: Cells<{ RetryReason::ALL.len() }>,
    pub(super) retry_overflows: Counter,
    pub(super) hedges: Cells<{ HedgeResult::ALL.len() }>,
    pub(super) tls_handshakes: Cells<{ TlsHandshake::ALL.len() }>,
    pub(super) http3_fallbacks: Counter,
    pub(super) load_reports: Cells<{ LoadReportResult::ALL.len() }>,
    pub(super) queued: Gauge,
    pub(super) waits: Cells<{ QueueResult::ALL.len() }>,
    pub(super) wait: Histogram,
    pub(super) tunnels: Cells<{ TunnelEnd::ALL.len() }>,
    pub(super) tunnel_duration: Histogram,
    pub(super) sessions: Cells<{ SessionEnd::ALL.len() }>,
    pub(super) session_duration: Histogram,
}

impl Default for ClusterShard {
    fn default() -> Self {
        Self {
            requests: Cells::default(),
            duration: Histogram::new(&LATENCY),
            flags: Cells::default(),
            grpc: Cells::default(),
            attempts: Cells::default(),
            first_byte: Histogram::new(&LATENCY),
            connects: Cells::default(),
            retries: Cells::default(),
            retry_overflows: Counter::default(),
            hedges: Cells::default(),
            tls_handshakes: Cells::default(),
            http3_fallbacks: Counter::default(),
            load_reports: Cells::default(),
            queued: Gauge::default(),
            waits: Cells::default(),
            wait: Histogram::new(&LATENCY),
            tunnels: Cells::default(),
            tunnel_duration: Histogram::new(&LASTING),
            sessions: Cells::default(),
            session_duration: Histogram::new(&LASTING),
        }
    }
}

impl ClusterShard {
    /// Counts a request that has ended.
    #[inline]
    pub fn request(&self, status: u16, duration: Duration, flag: Option<Flag>) {
        self.requests[Class::of(status) as usize].increment();
        self.duration.observe(duration);
        if let Some(flag) = flag {
            self.flags[flag as usize].increment();
        }
    }

    /// Counts a call of gRPC that has ended.
    pub fn grpc(&self, status: GrpcStatus) {
        self.grpc[status as usize].increment();
    }

    /// Counts an attempt that has ended.
    #[inline]
    pub fn attempt(&self, outcome: AttemptOutcome) {
        self.attempts[outcome as usize].increment();
    }

    /// Time from the start of an attempt to the first byte of its answer.
    #[inline]
    pub fn first_byte(&self, after: Duration) {
        self.first_byte.observe(after);
    }

    #[inline]
    pub fn connect(&self, result: ConnectResult) {
        self.connects[result as usize].increment();
    }

    /// Counts another attempt of a request.
    pub fn retry(&self, after: RetryReason) {
        self.retries[after as usize].increment();
    }

    /// Counts a request that was not tried again, since as many were as may be.
    pub fn retry_overflow(&self) {
        self.retry_overflows.increment();
    }

    /// Counts an attempt that was to begin beside another.
    pub fn hedge(&self, result: HedgeResult) {
        self.hedges[result as usize].increment();
    }

    /// Counts a TLS handshake with an endpoint.
    pub fn tls_handshake(&self, result: TlsHandshake) {
        self.tls_handshakes[result as usize].increment();
    }

    /// Counts that HTTP/3 with an endpoint was left for HTTP/2.
    pub fn http3_fell_back(&self) {
        self.http3_fallbacks.increment();
    }

    pub fn load_report(&self, result: LoadReportResult) {
        self.load_reports[result as usize].increment();
    }

    /// A request begins to wait for room at an endpoint; [`Self::dequeued`] follows.
    pub fn queued(&self) {
        self.queued.increment();
    }

    pub fn dequeued(&self, result: QueueResult, after: Duration) {
        self.queued.decrement();
        self.waits[result as usize].increment();
        self.wait.observe(after);
    }

    /// Counts a TCP connection that has ended.
    pub fn tunnel(&self, end: TunnelEnd, duration: Duration) {
        self.tunnels[end as usize].increment();
        self.tunnel_duration.observe(duration);
    }

    /// Counts a session of UDP that has ended.
    pub fn session(&self, end: SessionEnd, duration: Duration) {
        self.sessions[end as usize].increment();
        self.session_duration.observe(duration);
    }

    /// A request could not wait, since as many do as may.
    pub fn queue_full(&self) {
        self.waits[QueueResult::Full as usize].increment();
    }
}

/// What one worker, or the control plane, counts about one plugin in one role.
#[derive(Debug)]
#[repr(align(64))]
pub struct PluginShard {
    /// A worker is one thread; the control plane may start instances on several.
    writers: Writers,
    pub(super) calls: Counter,
    pub(super) call_seconds: Histogram,
    pub(super) traps: Cells<{ TrapKind::ALL.len() }>,
    pub(super) fallbacks: Cells<{ FallbackReason::ALL.len() }>,
    pub(super) invalid_answers: Counter,
    pub(super) repeats: Counter,
    /// Made in the control plane, destroyed by the worker.
    policies: SharedLevel,
}

impl PluginShard {
    pub(super) fn new(writers: Writers) -> Self {
        Self {
            writers,
            calls: Counter::default(),
            call_seconds: Histogram::new(&CALL),
            traps: Cells::default(),
            fallbacks: Cells::default(),
            invalid_answers: Counter::default(),
            repeats: Counter::default(),
            policies: SharedLevel::default(),
        }
    }

    /// Counts a policy, which is there until the guard is dropped.
    pub fn policy(self: &Arc<Self>) -> LivePolicy {
        self.policies.increment();
        LivePolicy { shard: self.clone() }
    }

    pub(super) fn policies(&self) -> u64 {
        self.policies.get()
    }

    /// Counts a call that returned; `took` is there for those that were timed.
    #[inline]
    pub fn call(&self, took: Option<Duration>) {
        self.calls.add_by(self.writers, 1);
        if let Some(took) = took {
            self.call_seconds.observe_by(self.writers, took);
        }
    }

    /// Counts a call that did not return. It is a call all the same.
    pub fn trap(&self, kind: &'static str) {
        self.calls.add_by(self.writers, 1);
        self.traps[TrapKind::from_label(kind) as usize].add_by(self.writers, 1);
    }

    /// Counts a decision that the host took in the plugin's stead.
    pub fn fallback(&self, reason: &'static str) {
        self.fallbacks[FallbackReason::from_label(reason) as usize].add_by(self.writers, 1);
    }

    pub fn invalid_answer(&self) {
        self.invalid_answers.add_by(self.writers, 1);
    }

    /// Counts a decision that was answered from memory, without a call.
    #[inline]
    pub fn repeat(&self) {
        self.repeats.add_by(self.writers, 1);
    }
}

/// What one worker counts about a candidate beside a plugin in one role.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ShadowShard {
    pub(super) decisions: Cells<{ ShadowResult::ALL.len() }>,
}

impl ShadowShard {
    /// Counts a decision that a candidate took beside the live version.
    pub fn decided(&self, result: ShadowResult) {
        self.decisions[result as usize].increment();
    }
}

/// One policy of a plugin; ends when dropped.
#[derive(Debug)]
pub struct LivePolicy {
    shard: Arc<PluginShard>,
}

impl Drop for LivePolicy {
    fn drop(&mut self) {
        self.shard.policies.decrement();
    }
}

/// What one worker counts that belongs to no listener, cluster or plugin.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkerShard {
    pub(super) outcomes_dropped: Counter,
    pub(super) handshake_waits: Counter,
}

impl WorkerShard {
    /// Counts a step of a TLS handshake that had to wait for its turn.
    pub fn handshake_waits(&self) {
        self.handshake_waits.increment();
    }

    /// Counts outcomes of attempts that did not reach the control plane, because its queue was full.
    pub fn outcomes_dropped(&self, amount: u64) {
        self.outcomes_dropped.add(amount);
    }
}

/// What all threads count about one plugin.
#[derive(Debug, Default)]
pub(super) struct PluginTotals {
    pub(super) rebuilds: SharedCounter,
    pub(super) quarantined: super::cell::SharedGauge,
    pub(super) messages_dropped: SharedCounter,
    pub(super) table_bytes: super::cell::SharedGauge,
    pub(super) table_evicted: SharedCounter,
    pub(super) table_refused: SharedCounter,
    pub(super) shadows_ended: [SharedCounter; super::label::ShadowEnd::ALL.len()],
    pub(super) outward_calls: [SharedCounter; super::label::OutwardResult::ALL.len()],
    pub(super) own: super::plugin_numbers::PluginNumbers,
}
