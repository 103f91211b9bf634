use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use sha2::Sha256;

use super::policy::Role;
use crate::timer;

/// What outlives instances and is shared by all of them: the clock's origin, the operator's secret, the tables and the
/// counters of plugins.
#[derive(Debug)]
pub struct Services {
    clock: Clock,
    secret: Box<[u8]>,
    seed: u64,
    tables: Mutex<HashMap<TableKey, Arc<Table>>>,
    registry: Arc<crate::telemetry::Registry>,
}

/// Where the milliseconds that plugins and breakers see come from.
#[derive(Debug)]
enum Clock {
    Running(Instant),
    /// For trials: it stands where it was set.
    Set(AtomicU64),
}

/// Plugin, role and scope: what a policy keeps is its own.
type TableKey = (Arc<str>, Role, Arc<str>);

impl Services {
    /// `secret` is what the keys for clients are derived from.
    pub fn new(secret: &[u8], registry: Arc<crate::telemetry::Registry>) -> Self {
        Self {
            clock: Clock::Running(Instant::now()),
            secret: secret.into(),
            seed: RandomState::new().hash_one(Instant::now()),
            tables: Mutex::default(),
            registry,
        }
    }

    /// For trials that are to go the same way each time: randomness follows from the seed, and the clock stands still.
    pub fn for_trial(seed: u64) -> Self {
        Self::for_trial_with_secret(seed, b"trial")
    }

    /// The same, with a secret of its own.
    pub fn for_trial_with_secret(seed: u64, secret: &[u8]) -> Self {
        Self { clock: Clock::Set(AtomicU64::new(0)), seed, ..Self::new(secret, Arc::default()) }
    }

    /// What the clock of a trial says from now on.
    pub fn set_now_ms(&self, now_ms: u64) {
        if let Clock::Set(clock) = &self.clock {
            clock.store(now_ms, Ordering::Relaxed);
        }
    }

    /// Milliseconds of the monotonic clock that plugins and breakers see.
    pub fn now_ms(&self) -> u64 {
        match &self.clock {
            Clock::Running(since) => u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            Clock::Set(now_ms) => now_ms.load(Ordering::Relaxed),
        }
    }

    /// What the times of load reports are counted by: the timers' clock, since reports are shared by all that serve.
    pub(super) fn reports_now_ms(&self) -> u64 {
        match &self.clock {
            Clock::Running(_) => timer::now_ms(),
            Clock::Set(_) => self.now_ms(),
        }
    }

    /// Milliseconds since the beginning of 1970, by the clock of the machine; in a trial as many more than those of
    /// [`Self::now_ms`] as it takes to be in this century.
    pub(super) fn unix_ms(&self) -> u64 {
        match &self.clock {
            // A clock set to before 1970 reads as that.
            Clock::Running(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
            Clock::Set(now_ms) => now_ms.load(Ordering::Relaxed).saturating_add(BEGINNING_OF_TRIALS_MS),
        }
    }

    pub(super) fn seed(&self, worker: u32, policy: u32) -> u64 {
        splitmix(self.seed ^ splitmix((u64::from(worker) << 32) | u64::from(policy)))
    }

    /// HMAC-SHA256 of the plugin's name and the label under the operator's secret.
    pub(super) fn derive_key(&self, plugin: &str, label: &str) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(plugin.as_bytes());
        mac.update(&[0]);
        mac.update(label.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    pub(super) fn table(&self, plugin: &Arc<str>, role: Role, scope: &Arc<str>) -> Arc<Table> {
        lock(&self.tables).entry((plugin.clone(), role, scope.clone())).or_default().clone()
    }

    pub(crate) fn registry(&self) -> &Arc<crate::telemetry::Registry> {
        &self.registry
    }
}

/// The beginning of 2026.
const BEGINNING_OF_TRIALS_MS: u64 = 1_767_225_600_000;

/// Next number of Steele, Lea and Flood's SplitMix64.
pub(super) fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const SHARDS: usize = 16;
const ENTRIES_PER_SHARD: NonZeroUsize = NonZeroUsize::new(65_536 / SHARDS).unwrap();
const MAX_KEY_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 4096;

/// Memory of a policy: keys with a time to live, bounded, the least recently used go first.
#[derive(Debug)]
pub(super) struct Table {
    hasher: RandomState,
    shards: [Mutex<LruCache<Box<[u8]>, Entry>>; SHARDS],
}

#[derive(Debug)]
struct Entry {
    expires_ms: u64,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Bytes(Box<[u8]>),
    Counter(i64),
}

impl Default for Table {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            // The cache grows as it fills; only the bound is reserved.
            shards: std::array::from_fn(|_| Mutex::new(LruCache::unbounded())),
        }
    }
}

impl Table {
    pub(super) fn get(&self, now_ms: u64, key: &[u8]) -> Option<Vec<u8>> {
        let mut shard = self.shard(key);
        let entry = shard.get(key)?;
        if entry.expires_ms <= now_ms {
            shard.pop(key);
            return None;
        }
        match &entry.value {
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            Value::Counter(count) => Some(count.to_le_bytes().to_vec()),
        }
    }

    pub(super) fn put(&self, now_ms: u64, key: &[u8], value: &[u8], ttl_ms: u64) -> bool {
        if key.len() > MAX_KEY_BYTES || value.len() > MAX_VALUE_BYTES {
            return false;
        }
        let entry = Entry { expires_ms: now_ms.saturating_add(ttl_ms), value: Value::Bytes(value.into()) };
        insert(&mut self.shard(key), key, entry);
        true
    }

    pub(super) fn remove(&self, key: &[u8]) {
        self.shard(key).pop(key);
    }

    pub(super) fn add(&self, now_ms: u64, key: &[u8], amount: i64, ttl_ms: u64) -> i64 {
        if key.len() > MAX_KEY_BYTES {
            return 0;
        }
        let mut shard = self.shard(key);
        if let Some(Entry { expires_ms, value: Value::Counter(count) }) = shard.get_mut(key)
            && *expires_ms > now_ms
        {
            *count = count.saturating_add(amount);
            return *count;
        }
        let entry = Entry { expires_ms: now_ms.saturating_add(ttl_ms), value: Value::Counter(amount) };
        insert(&mut shard, key, entry);
        amount
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, LruCache<Box<[u8]>, Entry>> {
        lock(&self.shards[self.hasher.hash_one(key) as usize % SHARDS])
    }
}

fn insert(shard: &mut LruCache<Box<[u8]>, Entry>, key: &[u8], entry: Entry) {
    if shard.len() >= ENTRIES_PER_SHARD.get() && !shard.contains(key) {
        shard.pop_lru();
    }
    shard.put(key.into(), entry);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_forgets_after_the_time_to_live() {
        let table = Table::default();
        assert!(table.put(0, b"k", b"v", 10));
        assert_eq!(table.get(9, b"k").as_deref(), Some(&b"v"[..]));
        assert_eq!(table.get(10, b"k"), None);
    }

    #[test]
    fn table_is_bounded_and_forgets_the_least_recently_used() {
        let table = Table::default();
        for number in 0..100_000_u32 {
            assert!(table.put(0, &number.to_le_bytes(), b"", 1000));
        }
        let kept = (0..100_000_u32).filter(|number| table.get(0, &number.to_le_bytes()).is_some()).count();
        assert!(kept <= 65_536, "{kept}");
        assert!(table.get(0, &99_999_u32.to_le_bytes()).is_some());
        assert!(table.get(0, &0_u32.to_le_bytes()).is_none());
    }

    #[test]
    fn table_refuses_what_is_too_large() {
        let table = Table::default();
        assert!(!table.put(0, &[0; 257], b"", 1));
        assert!(!table.put(0, b"k", &[0; 4097], 1));
    }

    #[test]
    fn counters_add_up_within_their_window() {
        let table = Table::default();
        assert_eq!(table.add(0, b"k", 2, 10), 2);
        assert_eq!(table.add(9, b"k", 3, 10), 5);
        assert_eq!(table.add(10, b"k", 1, 10), 1);
    }
}
