use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Whether an endpoint may get traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Takes new requests.
    Ready,
    /// Keeps the clients bound to it, takes nothing new.
    Draining,
    /// Takes nothing: unhealthy, or disabled by the operator.
    Unavailable,
}

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
    /// 0 to 65535; 0 gets no new traffic.
    pub weight: u32,
    /// Share of the weight in force, in thousandths.
    pub ramp: u32,
    pub availability: Availability,
    pub priority: u32,
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

    /// True when a client that is bound to it may still be sent there.
    pub fn keeps_bound(&self) -> bool {
        self.availability != Availability::Unavailable
    }
}

/// What the workers count about one endpoint; written by all of them.
#[derive(Debug, Default)]
#[repr(align(64))] // two endpoints never share a cache line
pub struct EndpointCounters {
    in_flight: AtomicU32,
    first_byte_us: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
}

impl EndpointCounters {
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

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
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
