use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::events::{Events, PluginEvent};
use super::node::Node;
use super::table::{Table, Tables};
use crate::timer;

/// What outlives instances and is shared by all of them: the clock's origin, the operator's secret, the tables and the
/// counters of plugins.
#[derive(Debug)]
pub struct Services {
    clock: Clock,
    secret: Box<[u8]>,
    seed: u64,
    tables: Tables,
    registry: Arc<crate::telemetry::Registry>,
    node: Node,
    events: Events,
    /// When a trial ends, whatever it is about.
    until: Option<Instant>,
}

/// Where the milliseconds that plugins and breakers see come from.
#[derive(Debug)]
enum Clock {
    Running(Instant),
    /// For trials: it stands where it was set.
    Set(AtomicU64),
}

impl Services {
    /// `secret` is what the keys for clients are derived from.
    pub fn new(secret: &[u8], registry: Arc<crate::telemetry::Registry>) -> Self {
        Self {
            clock: Clock::Running(Instant::now()),
            secret: secret.into(),
            seed: RandomState::new().hash_one(Instant::now()),
            tables: Tables::new(registry.clone()),
            node: Node::default(),
            events: Events::default(),
            until: None,
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

    /// With what plugins are told of the proxy.
    pub fn with_node(self, node: Node) -> Self {
        Self { node, ..self }
    }

    /// What plugins say and how they fail, from now on.
    pub fn listen(&self) -> tokio::sync::broadcast::Receiver<PluginEvent> {
        self.events.listen()
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// The same secret and node, with nothing else in common: for trying what is not to change anything.
    pub fn apart(&self) -> Self {
        Self::new(&self.secret, Arc::default()).with_node(self.node.clone())
    }

    /// What plugins remember in tables has so many bytes together, from now on.
    pub fn limit_tables(&self, bytes: usize) {
        self.tables.limit(bytes);
    }

    /// Whether nobody is served by what uses these.
    pub(super) fn is_for_trial(&self) -> bool {
        matches!(self.clock, Clock::Set(_))
    }

    /// For a trial that is not to take longer.
    pub fn until(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// Whether a trial has no time left.
    pub fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
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

    /// What the clock of a trial says at this moment, when it is to be that of the machine.
    pub fn trial_now_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_sub(BEGINNING_OF_TRIALS_MS)
    }

    pub(super) fn trial_seed(&self) -> u64 {
        self.seed
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

    /// What a policy keeps here. It counts against the memory that the plugin may have.
    pub(super) fn table(
        &self,
        plugin: &Arc<str>,
        role: &'static str,
        scope: &Arc<str>,
        limit_bytes: usize,
    ) -> Arc<Table> {
        self.tables.of(plugin, role, scope, limit_bytes)
    }

    /// Bytes that the tables of each plugin take.
    pub fn table_bytes(&self) -> BTreeMap<Arc<str>, usize> {
        self.tables.bytes()
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
