use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use plimsoll_model::{Availability, LoadReport};

use super::detour::Detour;
use super::load::{LastReport, Named, NamedMetrics, Reported};
use super::waiting::Waiting;

/// One address that a cluster can send to, as of one generation of its [`EndpointSet`](super::EndpointSet). The counters
/// are shared by all generations.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Number in the cluster, fixed for the endpoint's life.
    pub slot: u32,
    /// What the operator calls it.
    pub id: Arc<str>,
    /// XXH64 with seed 0 of `id`: equal on every machine and after every start.
    pub id_hash: u64,
    pub address: SocketAddr,
    /// The name or IP address that the configuration has for it.
    pub host: Arc<str>,
    /// 0 to 65535; 0 gets no new traffic.
    pub weight: u32,
    /// Share of the weight in force, in thousandths.
    pub ramp: u32,
    pub availability: Availability,
    /// Health has it out of service, whatever the operator says.
    pub is_unhealthy: bool,
    pub priority: u32,
    /// Attempts that may be under way from all workers; 0 is no bound.
    pub max_connections: u32,
    pub zone: Arc<str>,
    pub metadata: Arc<[(String, String)]>,
    pub counters: Arc<EndpointCounters>,
}

impl Endpoint {
    /// Hash of an endpoint's id that consistent balancers build on.
    pub fn id_hash(id: &str) -> u64 {
        xxhash_rust::xxh64::xxh64(id.as_bytes(), 0)
    }

    /// True when a balancer may choose it for a new client.
    pub fn takes_new(&self) -> bool {
        self.availability == Availability::Ready && self.weight > 0
    }

    /// True when an attempt could be begun now; the next moment another worker may have begun one.
    pub(crate) fn has_room(&self) -> bool {
        self.max_connections == 0 || self.counters.in_flight.load(Ordering::SeqCst) < self.max_connections
    }

    /// True when a client that is bound to it may still be sent there.
    pub fn keeps_bound(&self) -> bool {
        self.availability != Availability::Unavailable
    }
}

/// Why a connection to an endpoint could not be made.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub message: String,
    pub at: Instant,
}

/// What the workers count about one endpoint; written by all of them.
#[derive(Debug, Default)]
#[repr(align(64))] // two endpoints never share a cache line
pub struct EndpointCounters {
    in_flight: AtomicU32,
    first_byte_us: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    /// How often it was out of service for so long that what was under way had to end.
    deregistered: AtomicU32,
    load: LastReport,
    named: NamedMetrics,
    /// Why no connection could be made, since one could; looked at when one is made, and not by requests.
    trouble: ArcSwapOption<Trouble>,
    /// Who waits for room here, or elsewhere in the cluster.
    waiting: Arc<Waiting>,
    /// Whether HTTP/3 is left for HTTP/2; looked at where it is spoken.
    detour: Detour,
}

impl EndpointCounters {
    /// Counters of an endpoint of the cluster that `waiting` belongs to.
    pub fn new(waiting: Arc<Waiting>) -> Self {
        Self { waiting, ..Self::default() }
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Moving average of the time to first byte, in microseconds; 0 before the first answer.
    pub fn first_byte_us(&self) -> u32 {
        self.first_byte_us.load(Ordering::Relaxed)
    }

    /// Attempts begun.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Attempts that did not end well.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often all that was under way had to end.
    pub fn deregistered(&self) -> u32 {
        self.deregistered.load(Ordering::Relaxed)
    }

    /// All that is under way has to end. Whoever waits is to be told.
    pub(crate) fn deregister(&self) {
        self.deregistered.fetch_add(1, Ordering::Relaxed);
    }

    /// What the endpoint last said of its load, and when.
    pub fn reported_load(&self) -> Option<(LoadReport, u64)> {
        self.load.load()
    }

    /// `now_ms` is the time of [`crate::timer::now_ms`].
    pub(crate) fn report_load(&self, report: LoadReport, now_ms: u64) {
        self.load.store(report, now_ms);
    }

    /// What the endpoint last said under a name of its own, in thousandths.
    pub(crate) fn reported_metric(&self, name: &str) -> Option<u64> {
        self.named.get(name)
    }

    /// The same of all names that it has.
    pub(crate) fn reported_metrics(&self) -> Option<Arc<Named>> {
        self.named.all()
    }

    /// All that the endpoint says; `now_ms` is the time of [`crate::timer::now_ms`].
    pub(crate) fn report(&self, reported: Reported, now_ms: u64) {
        self.load.store(reported.load, now_ms);
        self.named.store(reported.named);
    }

    pub fn detour(&self) -> &Detour {
        &self.detour
    }

    /// Why the last connection could not be made; none once one could.
    pub fn trouble(&self) -> Option<Arc<Trouble>> {
        self.trouble.load_full()
    }

    pub(crate) fn note_trouble(&self, trouble: Trouble) {
        self.trouble.store(Some(Arc::new(trouble)));
    }

    pub(crate) fn note_connected(&self) {
        if self.trouble.load().is_some() {
            self.trouble.store(None);
        }
    }

    /// In flight, microseconds to the first byte, requests, failures.
    pub(crate) fn numbers(&self) -> (u32, u32, u64, u64) {
        (self.in_flight(), self.first_byte_us(), self.requests(), self.failures())
    }

    /// The same, for trials.
    pub(crate) fn set_numbers(&self, (in_flight, first_byte_us, requests, failures): (u32, u32, u64, u64)) {
        self.in_flight.store(in_flight, Ordering::Relaxed);
        self.first_byte_us.store(first_byte_us, Ordering::Relaxed);
        self.requests.store(requests, Ordering::Relaxed);
        self.failures.store(failures, Ordering::Relaxed);
    }

    /// Has so many attempts under way, for trials.
    pub(crate) fn set_in_flight(&self, attempts: u32) {
        let before = self.in_flight.swap(attempts, Ordering::Relaxed);
        self.requests.fetch_add(attempts.saturating_sub(before).into(), Ordering::Relaxed);
    }

    /// Begins an attempt, unless `bound` of them are under way; 0 is no bound. Never more, whoever else begins one.
    pub(crate) fn begin(&self, bound: u32) -> bool {
        if bound == 0 {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
        } else {
            let one_more = |under_way: u32| (under_way < bound).then(|| under_way + 1);
            if self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
                return false;
            }
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        true
    }

    pub(crate) fn end(&self) {
        // Before the look at who waits; see `Waiting`.
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.waiting.offer();
    }

    pub(crate) fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a sample into the moving average with weight 1/20, nginx's choice for its `least_time`. A lost update
    /// between two workers costs one sample, so there is no compare-and-swap loop.
    pub(crate) fn sample_first_byte(&self, micros: u32) {
        let old = self.first_byte_us.load(Ordering::Relaxed);
        let new = if old == 0 {
            micros.max(1)
        } else {
            let step = (i64::from(micros) - i64::from(old)) / 20;
            u32::try_from(i64::from(old) + step).unwrap_or(u32::MAX).max(1)
        };
        self.first_byte_us.store(new, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_attempts_begin_than_the_bound_allows() {
        let counters = EndpointCounters::default();
        assert!(counters.begin(2) && counters.begin(2));
        assert!(!counters.begin(2));
        assert!(counters.begin(0), "without a bound there is always room");
        counters.end();
        assert!(!counters.begin(2));
        counters.end();
        assert!(counters.begin(2));
        assert_eq!((counters.in_flight(), counters.requests()), (2, 4));
    }

    #[test]
    fn first_byte_average_follows_samples_in_both_directions() {
        let counters = EndpointCounters::default();
        counters.sample_first_byte(1000);
        assert_eq!(counters.first_byte_us(), 1000);
        counters.sample_first_byte(3000);
        assert_eq!(counters.first_byte_us(), 1100);
        counters.sample_first_byte(0);
        assert_eq!(counters.first_byte_us(), 1045);
    }
}
