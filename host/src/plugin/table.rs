//! What the host remembers for policies, `host::table`: bounded in entries for each policy, and in bytes for each plugin
//! and for the process. It goes when the last instance with the policy does.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lru::LruCache;

use crate::telemetry::Registry;

const SHARDS: usize = 16;
const ENTRIES_PER_SHARD: usize = 65_536 / SHARDS;
const MAX_KEY_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 4096;
/// What an entry takes beyond its key and its value: its node in the list, its place in the map, the allocator's share.
const ENTRY_BYTES: usize = 160;
/// What a table takes with nothing in it.
const EMPTY_BYTES: usize = 4096;
/// Plugin, role and scope: what a policy keeps is its own.
type TableKey = (Arc<str>, &'static str, Arc<str>);

/// All tables, by whose they are. A table lives as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Tables {
    known: Mutex<Known>,
    process: Arc<Account>,
    registry: Arc<Registry>,
}

#[derive(Debug, Default)]
struct Known {
    tables: HashMap<TableKey, Weak<Table>>,
    plugins: HashMap<Arc<str>, Arc<Account>>,
    /// Those that are gone are looked for when there are so many.
    look_at: usize,
}

/// Bytes that are in use, and how many may be.
#[derive(Debug)]
struct Account {
    limit: AtomicUsize,
    used: AtomicUsize,
}

impl Account {
    fn of(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.into(), used: AtomicUsize::new(0) })
    }

    fn take(&self, bytes: usize) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let taken = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Tables {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        // Whoever serves says how much it is.
        Self { known: Mutex::default(), process: Account::of(usize::MAX), registry }
    }

    /// All tables have so many bytes together, from now on.
    pub(super) fn limit(&self, bytes: usize) {
        self.process.limit.store(bytes, Ordering::Relaxed);
    }

    /// The table of a policy, the same one as long as somebody has it. All tables of the plugin have `limit_bytes`
    /// together, from now on.
    pub(super) fn of(&self, plugin: &Arc<str>, role: &'static str, scope: &Arc<str>, limit_bytes: usize) -> Arc<Table> {
        let mut known = lock(&self.known);
        let account = known.plugins.entry(plugin.clone()).or_insert_with(|| Account::of(limit_bytes)).clone();
        account.limit.store(limit_bytes, Ordering::Relaxed);
        let key = (plugin.clone(), role, scope.clone());
        if let Some(table) = known.tables.get(&key).and_then(Weak::upgrade) {
            return table;
        }
        known.forget_those_gone();
        let table = Arc::new(Table::new(plugin.clone(), account, self.process.clone(), self.registry.clone()));
        known.tables.insert(key, Arc::downgrade(&table));
        table
    }

    /// Bytes that the tables of each plugin take.
    pub(super) fn bytes(&self) -> BTreeMap<Arc<str>, usize> {
        let known = lock(&self.known);
        known.plugins.iter().map(|(name, account)| (name.clone(), account.used.load(Ordering::Relaxed))).collect()
    }
}

impl Known {
    fn forget_those_gone(&mut self) {
        if self.tables.len() < self.look_at {
            return;
        }
        self.tables.retain(|_, table| table.strong_count() > 0);
        self.plugins.retain(|_, account| Arc::strong_count(account) > 1);
        self.look_at = (2 * self.tables.len()).max(64);
    }
}

/// Memory of a policy: keys with a time to live, bounded, the least recently used go first.
#[derive(Debug)]
pub(super) struct Table {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// Of all entries, and of the table itself.
    bytes: AtomicUsize,
    plugin: Arc<str>,
    of_plugin: Arc<Account>,
    of_process: Arc<Account>,
    registry: Arc<Registry>,
}

type Shard = LruCache<Box<[u8]>, Entry>;

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

impl Entry {
    fn bytes(&self, key: &[u8]) -> usize {
        let value = match &self.value {
            Value::Bytes(bytes) => bytes.len(),
            Value::Counter(_) => 0,
        };
        ENTRY_BYTES + key.len() + value
    }
}

impl Table {
    fn new(plugin: Arc<str>, of_plugin: Arc<Account>, of_process: Arc<Account>, registry: Arc<Registry>) -> Self {
        // There is no policy without its table, so the table itself is counted, but not refused.
        for account in [&of_plugin, &of_process] {
            account.used.fetch_add(EMPTY_BYTES, Ordering::Relaxed);
        }
        Self {
            hasher: RandomState::new(),
            // The cache grows as it fills; only the bound is reserved.
            shards: std::array::from_fn(|_| Mutex::new(LruCache::unbounded())),
            bytes: AtomicUsize::new(EMPTY_BYTES),
            plugin,
            of_plugin,
            of_process,
            registry,
        }
    }

    pub(super) fn get(&self, now_ms: u64, key: &[u8]) -> Option<Vec<u8>> {
        let mut shard = self.shard(key);
        let entry = shard.get(key)?;
        if entry.expires_ms <= now_ms {
            self.forget(shard.pop_entry(key));
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
        self.insert(&mut self.shard(key), key, entry)
    }

    pub(super) fn remove(&self, key: &[u8]) {
        self.forget(self.shard(key).pop_entry(key));
    }

    /// Answers the sum; 0 when there is no room for the counter.
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
        if self.insert(&mut shard, key, entry) { amount } else { 0 }
    }

    /// What it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(key) as usize % SHARDS])
    }

    /// Puts an entry in its place, for which others of this table give way. False when there is no room all the same,
    /// since others of the plugin or of the process have it; then everything with this key is as it was.
    fn insert(&self, shard: &mut Shard, key: &[u8], entry: Entry) -> bool {
        // Looked up as used just now, so that it is not what gives way to itself.
        let before = shard.get(key).map(|before| before.bytes(key));
        if before.is_none() && shard.len() >= ENTRIES_PER_SHARD {
            self.forget(shard.pop_lru());
        }
        let bytes = entry.bytes(key);
        let more = bytes.saturating_sub(before.unwrap_or(0));
        while !self.take(more) {
            let least = if shard.len() > usize::from(before.is_some()) { shard.pop_lru() } else { self.pop_anywhere() };
            if least.is_none() {
                self.registry.plugin_table_refused(&self.plugin);
                return false;
            }
            self.forget(least);
            self.registry.plugin_table_evicted(&self.plugin);
        }
        self.give_back(before.unwrap_or(0).saturating_sub(bytes));
        shard.put(key.into(), entry);
        true
    }

    /// Takes an entry from whichever shard has one and is free. Whoever asks has one locked, so nobody is waited for.
    fn pop_anywhere(&self) -> Option<(Box<[u8]>, Entry)> {
        self.shards.iter().find_map(|shard| shard.try_lock().ok()?.pop_lru())
    }

    fn forget(&self, entry: Option<(Box<[u8]>, Entry)>) {
        if let Some((key, entry)) = entry {
            self.give_back(entry.bytes(&key));
        }
    }

    fn take(&self, bytes: usize) -> bool {
        if !self.of_plugin.take(bytes) {
            return false;
        }
        if !self.of_process.take(bytes) {
            self.of_plugin.give_back(bytes);
            return false;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.of_plugin.give_back(bytes);
        self.of_process.give_back(bytes);
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.give_back(self.bytes());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        Tables::new(Arc::default())
    }

    fn table_of(tables: &Tables, scope: &str, limit_bytes: usize) -> Arc<Table> {
        tables.of(&"learn".into(), "affinity", &scope.into(), limit_bytes)
    }

    fn table() -> Arc<Table> {
        table_of(&tables(), "app", 64 << 20)
    }

    fn used(tables: &Tables) -> usize {
        tables.bytes().values().sum()
    }

    #[test]
    fn table_forgets_after_the_time_to_live() {
        let table = table();
        assert!(table.put(0, b"k", b"v", 10));
        assert_eq!(table.get(9, b"k").as_deref(), Some(&b"v"[..]));
        assert_eq!(table.get(10, b"k"), None);
        assert_eq!(table.bytes(), EMPTY_BYTES);
    }

    #[test]
    fn table_is_bounded_and_forgets_the_least_recently_used() {
        let table = table();
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
        let table = table();
        assert!(!table.put(0, &[0; 257], b"", 1));
        assert!(!table.put(0, b"k", &[0; 4097], 1));
    }

    #[test]
    fn counters_add_up_within_their_window() {
        let table = table();
        assert_eq!(table.add(0, b"k", 2, 10), 2);
        assert_eq!(table.add(9, b"k", 3, 10), 5);
        assert_eq!(table.add(10, b"k", 1, 10), 1);
    }

    #[test]
    fn a_plugin_has_its_limit_however_much_it_puts() {
        let tables = tables();
        let table = table_of(&tables, "app", 1 << 20);
        for number in 0..2000_u32 {
            assert!(table.put(0, &number.to_le_bytes(), &[7; 4096], 1000), "an older one gives way to {number}");
            assert!(used(&tables) <= 1 << 20);
        }
        assert!(table.get(0, &1999_u32.to_le_bytes()).is_some());
        assert!(table.get(0, &0_u32.to_le_bytes()).is_none());
    }

    #[test]
    fn all_plugins_have_their_limit_together() {
        let tables = tables();
        tables.limit(1 << 20);
        let (one, two) =
            (table_of(&tables, "one", 64 << 20), tables.of(&"other".into(), "balancer", &"app".into(), 64 << 20));
        for number in 0..200_u32 {
            assert!(one.put(0, &number.to_le_bytes(), &[7; 4096], 1000));
            two.put(0, &number.to_le_bytes(), &[7; 4096], 1000);
            assert!(used(&tables) <= 1 << 20);
        }
        tables.limit(2 << 20);
        for number in 0..200_u32 {
            assert!(two.put(0, &number.to_le_bytes(), &[7; 4096], 1000));
        }
        assert!(used(&tables) > 1 << 20);
    }

    #[test]
    fn what_gives_way_is_of_the_same_policy() {
        let tables = tables();
        let (full, other) = (table_of(&tables, "full", 1 << 20), table_of(&tables, "other", 1 << 20));
        assert!(other.put(0, b"mine", b"here", 1000));
        for number in 0..2000_u32 {
            full.put(0, &number.to_le_bytes(), &[7; 4096], 1000);
        }
        assert_eq!(other.get(0, b"mine").as_deref(), Some(&b"here"[..]));
        assert!(other.put(0, b"mine", b"new", 1000), "it takes the place of what is larger");
        assert!(!other.put(0, b"mine", &[1; 4096], 1000));
        assert_eq!(other.get(0, b"mine").as_deref(), Some(&b"new"[..]), "what is refused changes nothing");
    }

    #[test]
    fn bytes_come_back_with_whatever_goes() {
        let tables = tables();
        let table = table_of(&tables, "app", 1 << 20);
        for number in 0..100_u32 {
            assert!(table.put(0, &number.to_le_bytes(), &[7; 100], 1000));
            assert!(table.put(0, &number.to_le_bytes(), &[7; 10], 1000));
            assert_eq!(table.add(0, &number.to_le_bytes(), 1, 1000), 1);
        }
        assert_eq!(table.bytes(), EMPTY_BYTES + 100 * (ENTRY_BYTES + 4));
        for number in 0..50_u32 {
            table.remove(&number.to_le_bytes());
        }
        assert_eq!(used(&tables), EMPTY_BYTES + 50 * (ENTRY_BYTES + 4));
        drop(table);
        assert_eq!(used(&tables), 0);
    }

    #[test]
    fn a_table_is_there_as_long_as_somebody_has_it() {
        let tables = tables();
        let first = table_of(&tables, "app", 1 << 20);
        assert!(Arc::ptr_eq(&first, &table_of(&tables, "app", 1 << 20)));
        assert!(first.put(0, b"k", b"v", 1000));
        drop(first);
        assert_eq!(table_of(&tables, "app", 1 << 20).get(0, b"k"), None);
        for scope in 0..10_000_u32 {
            table_of(&tables, &scope.to_string(), 1 << 20);
        }
        assert!(lock(&tables.known).tables.len() <= 128, "the names of those that are gone go too");
    }
}
