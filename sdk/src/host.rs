//! What the host offers to a plugin. Each function that is used becomes an import of the component, which the operator
//! has to grant; what is not used leaves no trace. Natively they are answered by [`crate::testing`].

#[cfg(target_arch = "wasm32")]
use crate::wit::imports as backend;

#[cfg(not(target_arch = "wasm32"))]
use crate::testing::imports as backend;

pub use crate::wit::imports::counters::LoadReport;
pub use crate::wit::imports::node::Node;

/// The next random number. The host seeds it: each worker and policy has its own sequence, and a replay gets it again.
#[inline]
pub fn random() -> u64 {
    backend::random::next()
}

/// A random number below `bound`, or 0 when that is 0.
#[inline]
pub fn random_below(bound: u32) -> u32 {
    // The upper bits of a product are uniform enough for balancing: the bias is below bound / 2^32.
    (((random() >> 32) * u64::from(bound)) >> 32) as u32
}

/// Monotonic milliseconds since an arbitrary moment. Prefer the time that a call hands in, where it does.
#[inline]
pub fn now_ms() -> u64 {
    backend::clock::now_ms()
}

/// Milliseconds since the beginning of 1970 (UTC), by the clock of the machine, which may jump: only for what leaves the
/// machine or outlives the process.
#[inline]
pub fn unix_ms() -> u64 {
    backend::clock::unix_ms()
}

/// Attempts under way to this endpoint from all workers.
#[inline]
pub fn in_flight(slot: u32) -> u32 {
    backend::counters::in_flight(slot)
}

/// [`in_flight`] of two endpoints for the price of one call.
#[inline]
pub fn in_flight_pair(first: u32, second: u32) -> (u32, u32) {
    let both = backend::counters::in_flight_pair(first, second);
    (both as u32, (both >> 32) as u32)
}

/// [`in_flight`] of many endpoints in one call, in the order given.
pub fn in_flight_many(slots: &[u32]) -> Vec<u32> {
    backend::counters::in_flight_many(slots)
}

/// Moving average of the time to first byte in microseconds; 0 before the first answer.
#[inline]
pub fn first_byte_us(slot: u32) -> u32 {
    backend::counters::first_byte_us(slot)
}

/// Attempts begun since the endpoint was added.
#[inline]
pub fn requests(slot: u32) -> u64 {
    backend::counters::requests(slot)
}

/// Attempts that did not end well since the endpoint was added.
#[inline]
pub fn failures(slot: u32) -> u64 {
    backend::counters::failures(slot)
}

/// What the endpoint last said of its load; none before it did, and where the cluster does not read such reports.
#[inline]
pub fn reported_load(slot: u32) -> Option<LoadReport> {
    backend::counters::reported_load(slot)
}

/// What the endpoint last said under a name of its own, in thousandths.
pub fn reported_metric(slot: u32, name: &str) -> Option<u64> {
    backend::counters::reported_metric(slot, name)
}

/// Adds to a counter of the plugin's own, shown at `/metrics`. At most 64 names a plugin.
pub fn count(name: &str, amount: u64) {
    backend::metrics::add(name, amount);
}

/// Sets a gauge of the plugin's own, shown at `/metrics`: the last value of any worker is what is shown.
pub fn gauge(name: &str, value: f64) {
    backend::metrics::set(name, value);
}

/// Counts a value in a histogram of the plugin's own, shown at `/metrics`. Its bounds are the powers of two from 2^-10 to 2^20,
/// so choose a unit in which values lie there, such as seconds or KiB; what is negative or not finite is dropped.
pub fn observe(name: &str, value: f64) {
    backend::metrics::observe(name, value);
}

/// Which proxy this is, and which part of it.
pub fn node() -> Node {
    backend::node::this()
}

/// 32 bytes for signing what clients are handed, derived from the operator's secret and bound to the plugin's name and
/// to `label`. None if the host gives something else than 32 bytes.
pub fn derive_key(label: &str) -> Option<[u8; 32]> {
    backend::keys::derive(label).try_into().ok()
}

/// Lines in the proxy's log. Over 4 KiB they are cut; more than 100 in a second are dropped and counted.
pub mod log {
    use super::backend::log::{Level, write};

    pub fn error(message: &str) {
        write(Level::Error, message);
    }

    pub fn warn(message: &str) {
        write(Level::Warn, message);
    }

    pub fn info(message: &str) {
        write(Level::Info, message);
    }

    pub fn debug(message: &str) {
        write(Level::Debug, message);
    }
}

/// Key/value memory of the policy that outlives the instance and is shared by all workers, as long as the policy is
/// configured. A key has at most 256 bytes, a value at most 4096; entries of least recent use give way at 65536 entries,
/// and where the tables of all policies of the plugin have the memory that one of its instances may have.
pub mod table {
    use super::backend::table;
    use crate::Duration;

    pub fn get(key: &[u8]) -> Option<Vec<u8>> {
        table::get(key)
    }

    /// Answers false when a bound was passed, and stores nothing then.
    pub fn put(key: &[u8], value: &[u8], ttl: Duration) -> bool {
        table::put(key, value, ttl.as_millis())
    }

    pub fn remove(key: &[u8]) {
        table::remove(key);
    }

    /// Adds to a counter that begins at 0 and lives for `ttl` from its first use; answers the sum, or 0
    /// where [`put`] would answer false.
    pub fn add(key: &[u8], amount: i64, ttl: Duration) -> i64 {
        table::add(key, amount, ttl.as_millis())
    }
}

/// [`table`], one for all policies of the plugin that work for the same listener or cluster, whatever their roles.
pub mod shared_table {
    use super::backend::shared_table;
    use crate::Duration;

    pub fn get(key: &[u8]) -> Option<Vec<u8>> {
        shared_table::get(key)
    }

    /// Answers false when a bound was passed, and stores nothing then.
    pub fn put(key: &[u8], value: &[u8], ttl: Duration) -> bool {
        shared_table::put(key, value, ttl.as_millis())
    }

    pub fn remove(key: &[u8]) {
        shared_table::remove(key);
    }

    /// Adds to a counter that begins at 0 and lives for `ttl` from its first use; answers the sum, or 0
    /// where [`put`] would answer false.
    pub fn add(key: &[u8], amount: i64, ttl: Duration) -> i64 {
        shared_table::add(key, amount, ttl.as_millis())
    }
}
