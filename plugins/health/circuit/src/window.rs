/// In so many steps what is counted gets out of date.
const BUCKETS: usize = 10;

/// Requests of the last time, and those of them that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    buckets: [Count; BUCKETS],
    /// Number of the newest bucket, from the beginning of the clock.
    newest: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

impl Window {
    /// One more; answers what there were within `window_ms`.
    pub(crate) fn count(&mut self, now_ms: u64, window_ms: u64, failed: bool) -> Count {
        let number = now_ms / (window_ms / BUCKETS as u64).max(1);
        if number < self.newest {
            // By a clock that was set back, nothing is known of the time that it shows.
            self.buckets = Default::default();
        }
        for passed in (self.newest + 1..=number).rev().take(BUCKETS) {
            self.buckets[(passed % BUCKETS as u64) as usize] = Count::default();
        }
        self.newest = number;
        let newest = &mut self.buckets[(number % BUCKETS as u64) as usize];
        newest.requests += 1;
        newest.failed += u64::from(failed);
        let sum = |of: fn(&Count) -> u64| self.buckets.iter().map(of).sum();
        Count { requests: sum(|bucket| bucket.requests), failed: sum(|bucket| bucket.failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::default();
        for now_ms in 0..1000 {
            window.count(now_ms, 1000, now_ms < 100);
        }
        assert_eq!(window.count(999, 1000, false), Count { requests: 1001, failed: 100 });
        assert_eq!(window.count(1000, 1000, false), Count { requests: 902, failed: 0 });
        assert_eq!(window.count(1899, 1000, false), Count { requests: 103, failed: 0 });
        assert_eq!(window.count(9999, 1000, true), Count { requests: 1, failed: 1 });
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let mut window = Window::default();
        window.count(50_000, 1000, true);
        assert_eq!(window.count(10, 1000, false), Count { requests: 1, failed: 0 });
    }
}
