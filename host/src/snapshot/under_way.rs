use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::waiting::Waiting;

/// What is under way at one cluster, on all workers.
#[derive(Debug, Default)]
pub struct UnderWay {
    /// Repetitions of attempts. Only requests that are repeated look here.
    retries: Count,
    /// Attempts, while they are bounded.
    attempts: Count,
}

#[derive(Debug, Default)]
#[repr(align(64))] // no two that are written for different reasons share a cache line
struct Count(AtomicU32);

/// A repetition of an attempt; ends when dropped.
#[derive(Debug)]
pub struct Retrying(Arc<UnderWay>);

/// A bound on the attempts at all endpoints of a cluster together.
#[derive(Debug)]
pub struct AttemptBound {
    pub most: u32,
    pub under_way: Arc<UnderWay>,
    pub waiting: Arc<Waiting>,
}

impl UnderWay {
    /// Begins a repetition unless `most` are under way. Never more, whoever else begins one.
    pub(crate) fn begin_retry(self: &Arc<Self>, most: u32) -> Option<Retrying> {
        self.retries.begin(most).then(|| Retrying(self.clone()))
    }
}

impl Count {
    // `SeqCst`, as whoever waits needs it: see `Waiting`.
    fn begin(&self, most: u32) -> bool {
        let one_more = |under_way: u32| (under_way < most).then(|| under_way + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    fn end(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.retries.end();
    }
}

impl AttemptBound {
    pub(crate) fn begin(&self) -> bool {
        self.under_way.attempts.begin(self.most)
    }

    /// An attempt has ended, and whoever waits may go on once it is told.
    pub(crate) fn end(&self) {
        self.under_way.attempts.end();
    }

    /// An attempt has not come about: others may have found no room meanwhile.
    pub(crate) fn give_back(&self) {
        self.end();
        self.waiting.offer();
    }

    pub(crate) fn has_room(&self) -> bool {
        self.under_way.attempts.0.load(Ordering::SeqCst) < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_retries_are_under_way_than_may_be() {
        let under_way = Arc::new(UnderWay::default());
        let held: Vec<_> = (0..3).map(|_| under_way.begin_retry(2)).collect();
        assert!(held[0].is_some() && held[1].is_some() && held[2].is_none());
        drop(held);
        assert!(under_way.begin_retry(1).is_some() && under_way.begin_retry(0).is_none());
    }

    #[test]
    fn no_more_attempts_are_under_way_than_may_be() {
        let (under_way, waiting) = Default::default();
        let bound = AttemptBound { most: 1, under_way, waiting };
        assert!(bound.has_room() && bound.begin());
        assert!(!bound.has_room() && !bound.begin());
        bound.give_back();
        assert!(bound.begin());
        bound.end();
        assert!(bound.has_room());
    }
}
