use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use plimsoll_resilience::Heard;

use super::adaptive_limit::AdaptiveLimit;
use super::connection_ids::ConnectionIds;
use super::waiting::Waiting;

/// What is under way at one cluster, on all workers.
#[derive(Debug, Default)]
pub struct UnderWay {
    /// Repetitions of attempts. Only requests that are repeated look here.
    retries: Count,
    /// Attempts, while they are bounded.
    attempts: Count,
    /// Their bound, where it is found by how they fare.
    pub(crate) adaptive: AdaptiveLimit,
    /// Connections of QUIC that are carried as they are.
    pub(crate) connection_ids: Arc<ConnectionIds>,
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
    /// 0 is no bound but the adaptive one.
    pub most: u32,
    pub is_adaptive: bool,
    pub under_way: Arc<UnderWay>,
    pub waiting: Arc<Waiting>,
}

impl UnderWay {
    /// Begins a repetition unless `most` are under way. Never more, whoever else begins one.
    pub(crate) fn begin_retry(self: &Arc<Self>, most: u32) -> Option<Retrying> {
        self.retries.begin(most)?;
        Some(Retrying(self.clone()))
    }

    /// What attempts have shown since this was last asked.
    pub(crate) fn heard(&self) -> Heard {
        self.adaptive.take(self.attempts.0.load(Ordering::Relaxed))
    }
}

impl Count {
    // `SeqCst`, as whoever waits needs it: see `Waiting`.
    /// Answers how many are under way with this one.
    fn begin(&self, most: u32) -> Option<u32> {
        let one_more = |under_way: u32| (under_way < most).then(|| under_way + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok().map(|before| before + 1)
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
        let begun = self.under_way.attempts.begin(self.most());
        if self.is_adaptive
            && let Some(under_way) = begun
        {
            self.under_way.adaptive.begun(under_way);
        }
        begun.is_some()
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
        self.under_way.attempts.0.load(Ordering::SeqCst) < self.most()
    }

    fn most(&self) -> u32 {
        let fixed = if self.most == 0 { u32::MAX } else { self.most };
        if self.is_adaptive { fixed.min(self.under_way.adaptive.most()) } else { fixed }
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
        let bound = AttemptBound { most: 1, is_adaptive: false, under_way, waiting };
        assert!(bound.has_room() && bound.begin());
        assert!(!bound.has_room() && !bound.begin());
        bound.give_back();
        assert!(bound.begin());
        bound.end();
        assert!(bound.has_room());
    }

    #[test]
    fn an_adaptive_bound_holds_beside_a_fixed_one_and_shows_what_was_under_way() {
        let under_way = Arc::new(UnderWay::default());
        let bound = AttemptBound { most: 3, is_adaptive: true, under_way: under_way.clone(), waiting: Arc::default() };
        under_way.adaptive.set(2);
        assert_eq!([0; 3].map(|_| bound.begin()), [true, true, false]);
        bound.end();
        under_way.adaptive.answered(1000);
        under_way.adaptive.set(9);
        assert!(bound.begin() && bound.begin() && !bound.begin());
        let heard = under_way.heard();
        assert_eq!((heard.peak, heard.latencies.count()), (3, 1));
        bound.end();
        assert_eq!((under_way.heard().peak, under_way.heard().peak), (3, 2));
    }
}
