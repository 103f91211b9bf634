use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many threads write a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    One,
    Many,
}

/// A count with one writing thread and any number of readers.
///
/// It adds by a relaxed load and a relaxed store, which compile to plain moves: a locked add costs about twenty cycles
/// even when nobody else touches the cache line. With a second writer it would lose counts (and nothing worse); that is
/// what [`SharedCounter`] is for.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// For cells whose owner decides how many threads write: the branch is always predicted.
    #[inline]
    pub(super) fn add_by(&self, writers: Writers, amount: u64) {
        match writers {
            Writers::One => self.add(amount),
            Writers::Many => {
                self.0.fetch_add(amount, Relaxed);
            }
        }
    }
}

/// A level with one writing thread and any number of readers; see [`Counter`] for how and why.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    #[inline]
    pub fn increment(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    #[inline]
    pub fn decrement(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A count that several threads add to. For what is rare: every add takes the cache line.
#[derive(Debug, Default)]
pub struct SharedCounter(AtomicU64);

impl SharedCounter {
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    pub fn increment(&self) {
        self.add(1);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A level that any thread sets.
#[derive(Debug, Default)]
pub struct SharedGauge(AtomicU64);

impl SharedGauge {
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A level that several threads raise and lower.
#[derive(Debug, Default)]
pub(super) struct SharedLevel(AtomicU64);

impl SharedLevel {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(super) fn decrement(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
