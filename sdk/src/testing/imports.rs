//! The imports of a component, answered by the fake host. Shaped like the generated module that takes their place on
//! wasm32.

pub(crate) mod random {
    use crate::testing::fake::{FakeHost, with};

    pub(crate) fn next() -> u64 {
        with(FakeHost::next_random)
    }
}

pub(crate) mod clock {
    use crate::testing::fake::with;

    pub(crate) fn now_ms() -> u64 {
        with(|host| host.now_ms)
    }

    pub(crate) fn unix_ms() -> u64 {
        with(|host| host.unix_ms)
    }
}

pub(crate) mod counters {
    use crate::testing::fake::with;
    use crate::wit::imports::counters::LoadReport;

    pub(crate) fn in_flight(slot: u32) -> u32 {
        with(|host| host.counters(slot).in_flight)
    }

    pub(crate) fn in_flight_pair(first: u32, second: u32) -> u64 {
        u64::from(in_flight(first)) | u64::from(in_flight(second)) << 32
    }

    pub(crate) fn in_flight_many(slots: &[u32]) -> Vec<u32> {
        slots.iter().map(|&slot| in_flight(slot)).collect()
    }

    pub(crate) fn first_byte_us(slot: u32) -> u32 {
        with(|host| host.counters(slot).first_byte_us)
    }

    pub(crate) fn requests(slot: u32) -> u64 {
        with(|host| host.counters(slot).requests)
    }

    pub(crate) fn reported_load(slot: u32) -> Option<LoadReport> {
        with(|host| {
            let (report, at_ms) = host.counters(slot).reported_load?;
            let age_ms = host.now_ms.saturating_sub(at_ms).try_into().unwrap_or(u32::MAX);
            Some(LoadReport { age_ms, ..report })
        })
    }

    pub(crate) fn reported_metric(slot: u32, name: &str) -> Option<u64> {
        with(|host| host.metrics.get(&(slot, name.to_owned())).copied())
    }

    pub(crate) fn failures(slot: u32) -> u64 {
        with(|host| host.counters(slot).failures)
    }
}

pub(crate) mod log {
    use crate::testing::fake::with;

    pub(crate) use crate::wit::imports::log::Level;

    pub(crate) fn write(level: Level, message: &str) {
        with(|host| host.logs.push((level, message.to_owned())));
    }
}

pub(crate) mod metrics {
    use crate::testing::fake::with;

    pub(crate) fn add(name: &str, amount: u64) {
        with(|host| *host.counted.entry(name.to_owned()).or_default() += amount);
    }

    pub(crate) fn set(name: &str, value: f64) {
        with(|host| host.gauges.insert(name.to_owned(), value));
    }

    pub(crate) fn observe(name: &str, value: f64) {
        with(|host| host.observed.entry(name.to_owned()).or_default().push(value));
    }
}

pub(crate) mod keys {
    use xxhash_rust::xxh64::xxh64;

    use crate::testing::fake::with;

    /// Not a derivation that is worth anything, but stable and different for each secret and label.
    pub(crate) fn derive(label: &str) -> Vec<u8> {
        let secret = with(|host| xxh64(&host.secret, 0));
        (0..4).flat_map(|part| xxh64(label.as_bytes(), secret.wrapping_add(part)).to_le_bytes()).collect()
    }
}

pub(crate) mod table {
    use crate::testing::fake::{Entry, with};

    pub(crate) fn get(key: &[u8]) -> Option<Vec<u8>> {
        with(|host| host.entry(key).map(|entry| entry.value.clone()))
    }

    pub(crate) fn put(key: &[u8], value: &[u8], ttl_ms: u64) -> bool {
        let fits = key.len() <= 256 && value.len() <= 4096;
        if fits {
            with(|host| {
                let until_ms = host.now_ms.saturating_add(ttl_ms);
                host.table.insert(key.to_vec(), Entry { value: value.to_vec(), until_ms });
            });
        }
        fits
    }

    pub(crate) fn remove(key: &[u8]) {
        with(|host| host.table.remove(key));
    }

    pub(crate) fn add(key: &[u8], amount: i64, ttl_ms: u64) -> i64 {
        with(|host| {
            if let Some(entry) = host.entry(key) {
                let before = entry.value.as_slice().try_into().map(i64::from_le_bytes).unwrap_or_default();
                let sum = before.saturating_add(amount);
                entry.value = sum.to_le_bytes().to_vec();
                return sum;
            }
            let until_ms = host.now_ms.saturating_add(ttl_ms);
            host.table.insert(key.to_vec(), Entry { value: amount.to_le_bytes().to_vec(), until_ms });
            amount
        })
    }
}

pub(crate) mod node {
    use crate::testing::fake::with;
    use crate::wit::imports::node::Node;

    pub(crate) fn this() -> Node {
        with(|host| host.node.clone())
    }
}

/// One thread runs one plugin, whose policies all work for one cluster here: keys of the shared table begin with a byte
/// that those of policies do not have.
pub(crate) mod shared_table {
    use super::table;

    fn shared(key: &[u8]) -> Vec<u8> {
        [&[0xff], key].concat()
    }

    pub(crate) fn get(key: &[u8]) -> Option<Vec<u8>> {
        table::get(&shared(key))
    }

    pub(crate) fn put(key: &[u8], value: &[u8], ttl_ms: u64) -> bool {
        table::put(&shared(key), value, ttl_ms)
    }

    pub(crate) fn remove(key: &[u8]) {
        table::remove(&shared(key));
    }

    pub(crate) fn add(key: &[u8], amount: i64, ttl_ms: u64) -> i64 {
        table::add(&shared(key), amount, ttl_ms)
    }
}
