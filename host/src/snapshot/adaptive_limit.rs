use std::sync::atomic::{AtomicU32, Ordering};

use plimsoll_resilience::{Heard, Latencies};

/// What workers show the control plane of a cluster's attempts, and how many may be under way by what it makes of that.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct AdaptiveLimit {
    most: AtomicU32,
    shown: Shown,
}

#[derive(Debug)]
#[repr(align(64))] // what is read by all stands apart from what is written by all
struct Shown {
    peak: AtomicU32,
    latencies: [AtomicU32; Latencies::BUCKETS],
}

impl Default for AdaptiveLimit {
    fn default() -> Self {
        let latencies = std::array::from_fn(|_| AtomicU32::new(0));
        Self { most: AtomicU32::new(u32::MAX), shown: Shown { peak: AtomicU32::new(0), latencies } }
    }
}

impl AdaptiveLimit {
    /// Attempts that may be under way.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }

    /// Whoever waits is to be told, where it grows.
    pub(crate) fn set(&self, most: u32) {
        self.most.store(most, Ordering::SeqCst);
    }

    pub(super) fn begun(&self, under_way: u32) {
        self.shown.peak.fetch_max(under_way, Ordering::Relaxed);
    }

    /// An attempt was answered after so long, or had no answer for so long.
    pub(crate) fn answered(&self, after_us: u32) {
        self.shown.latencies[Latencies::bucket(after_us)].fetch_add(1, Ordering::Relaxed);
    }

    /// All that was shown since it was last taken. `under_way` are by now.
    pub(super) fn take(&self, under_way: u32) -> Heard {
        let mut latencies = Latencies::default();
        for (bucket, count) in self.shown.latencies.iter().enumerate() {
            if count.load(Ordering::Relaxed) > 0 {
                latencies.note(bucket, count.swap(0, Ordering::Relaxed));
            }
        }
        Heard { latencies, peak: self.shown.peak.swap(under_way, Ordering::Relaxed).max(under_way) }
    }
}
