use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use crate::Duration;
use crate::wit::imports::counters::LoadReport;
pub use crate::wit::imports::log::Level;
use crate::wit::imports::node::Node;

thread_local! {
    static HOST: RefCell<FakeHost> = RefCell::new(FakeHost::default());
}

/// The host as one test sees it.
pub(super) struct FakeHost {
    random: u64,
    draws: u64,
    pub(super) now_ms: u64,
    pub(super) unix_ms: u64,
    pub(super) counters: HashMap<u32, Counters>,
    pub(super) logs: Vec<(Level, String)>,
    pub(super) counted: BTreeMap<String, u64>,
    pub(super) secret: Vec<u8>,
    pub(super) table: HashMap<Vec<u8>, Entry>,
    pub(super) metrics: HashMap<(u32, String), u64>,
    pub(super) gauges: BTreeMap<String, f64>,
    pub(super) observed: BTreeMap<String, Vec<f64>>,
    pub(super) node: Node,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) in_flight: u32,
    pub(super) first_byte_us: u32,
    pub(super) requests: u64,
    pub(super) failures: u64,
    /// And when it came.
    pub(super) reported_load: Option<(LoadReport, u64)>,
}

pub(super) struct Entry {
    pub(super) value: Vec<u8>,
    pub(super) until_ms: u64,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            random: 0,
            draws: 0,
            now_ms: 0,
            unix_ms: 0,
            counters: HashMap::new(),
            logs: Vec::new(),
            counted: BTreeMap::new(),
            secret: Vec::new(),
            table: HashMap::new(),
            metrics: HashMap::new(),
            gauges: BTreeMap::new(),
            observed: BTreeMap::new(),
            node: Node { id: "test".into(), zone: String::new(), worker: Some(0), workers: 1 },
        }
    }
}

impl FakeHost {
    /// SplitMix64: every seed, 0 too, gives a good sequence.
    pub(super) fn next_random(&mut self) -> u64 {
        self.draws += 1;
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn counters(&self, slot: u32) -> Counters {
        self.counters.get(&slot).copied().unwrap_or_default()
    }

    pub(super) fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now_ms = self.now_ms;
        self.table.get_mut(key).filter(|entry| entry.until_ms > now_ms)
    }
}

pub(super) fn with<R>(act: impl FnOnce(&mut FakeHost) -> R) -> R {
    HOST.with_borrow_mut(act)
}

/// Begins afresh: seed 0, time 0, nothing counted, logged or stored.
pub fn reset() {
    with(|host| *host = FakeHost::default());
}

/// Begins the sequence of random numbers that belongs to `seed`.
pub fn seed(seed: u64) {
    with(|host| host.random = seed);
}

/// How many random numbers were drawn so far.
pub fn random_draws() -> u64 {
    with(|host| host.draws)
}

pub fn set_now_ms(now_ms: u64) {
    with(|host| host.now_ms = now_ms);
}

/// Sets the clock of the machine, which reads 0 at first, and leaves the monotonic one alone.
pub fn set_unix_ms(unix_ms: u64) {
    with(|host| host.unix_ms = unix_ms);
}

/// Lets time pass, on both clocks.
pub fn advance(by: Duration) {
    with(|host| {
        host.now_ms += by.as_millis();
        host.unix_ms += by.as_millis();
    });
}

/// The operator's secret, from which keys are derived.
pub fn set_secret(secret: &[u8]) {
    with(|host| host.secret = secret.to_vec());
}

pub fn set_in_flight(slot: u32, attempts: u32) {
    with(|host| host.counters.entry(slot).or_default().in_flight = attempts);
}

pub fn set_first_byte_us(slot: u32, micros: u32) {
    with(|host| host.counters.entry(slot).or_default().first_byte_us = micros);
}

pub fn set_requests(slot: u32, requests: u64) {
    with(|host| host.counters.entry(slot).or_default().requests = requests);
}

pub fn set_failures(slot: u32, failures: u64) {
    with(|host| host.counters.entry(slot).or_default().failures = failures);
}

/// The endpoint says this of its load now; its age grows with the clock.
pub fn report_load(slot: u32, report: LoadReport) {
    with(|host| {
        let now_ms = host.now_ms;
        host.counters.entry(slot).or_default().reported_load = Some((report, now_ms));
    });
}

/// What was logged so far.
pub fn logs() -> Vec<(Level, String)> {
    with(|host| host.logs.clone())
}

/// Sum of a counter that the plugin keeps.
pub fn counted(name: &str) -> u64 {
    with(|host| host.counted.get(name).copied().unwrap_or_default())
}

/// The endpoint says this under a name of its own, in thousandths.
pub fn report_metric(slot: u32, name: &str, thousandths: u64) {
    with(|host| host.metrics.insert((slot, name.to_owned()), thousandths));
}

/// What [`crate::host::node`] answers.
pub fn set_node(node: Node) {
    with(|host| host.node = node);
}

/// Value of a gauge that the plugin has set.
pub fn gauge(name: &str) -> Option<f64> {
    with(|host| host.gauges.get(name).copied())
}

/// Values that the plugin has put into a histogram, in this order.
pub fn observed(name: &str) -> Vec<f64> {
    with(|host| host.observed.get(name).cloned().unwrap_or_default())
}
