use crate::Config;
use crate::intervals::Intervals;

/// What is known about one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id_hash: u64,
    /// Not known to be good yet: the host may hold it back until it is called healthy.
    fresh: bool,
    out: bool,
    /// Good probes in a row.
    good: u32,
    /// The last sign of life, or when it was first missed.
    last_ms: Option<u64>,
    /// Whether the last sign was a good probe and nothing came since, so that the next one makes an interval.
    is_steady: bool,
    intervals: Intervals,
}

impl Record {
    pub(crate) fn new(id_hash: u64) -> Self {
        Self {
            id_hash,
            fresh: true,
            out: false,
            good: 0,
            last_ms: None,
            is_steady: false,
            intervals: Intervals::default(),
        }
    }

    /// A good probe. Whether that is the word to let it serve.
    pub(crate) fn passed(&mut self, now_ms: u64, config: &Config) -> bool {
        // What passes while it is out, or on a clock that was set back, is no interval as usual.
        let interval_ms =
            self.last_ms.filter(|_| self.is_steady && !self.out).and_then(|last| now_ms.checked_sub(last));
        if let Some(interval_ms) = interval_ms {
            self.intervals.add(interval_ms, config);
        }
        (self.last_ms, self.is_steady) = (Some(now_ms), true);
        if !self.out && !self.fresh {
            return false;
        }
        self.good = self.good.saturating_add(1);
        if self.good < if self.out { config.rise } else { config.initial } {
            return false;
        }
        (self.fresh, self.out, self.good) = (false, false, 0);
        true
    }

    /// A bad probe. When that is the word to take it out: for how long it was silent, in milliseconds, and φ.
    pub(crate) fn failed(&mut self, now_ms: u64, config: &Config) -> Option<(u64, f64)> {
        (self.good, self.is_steady) = (0, false);
        let last_ms = self.last_ms.get_or_insert(now_ms);
        // A clock that was set back begins the silence anew.
        *last_ms = (*last_ms).min(now_ms);
        let silent_ms = now_ms - *last_ms;
        let phi = self.intervals.phi(silent_ms, config);
        if self.out || phi < config.threshold {
            return None;
        }
        self.out = true;
        Some((silent_ms, phi))
    }

    /// An answer to a request.
    pub(crate) fn answered(&mut self, now_ms: u64) {
        (self.last_ms, self.is_steady) = (Some(now_ms), false);
    }
}
