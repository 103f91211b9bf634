use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Whether HTTP/3 with an endpoint is left for another protocol for a while, since UDP does not come through; all workers know it
/// together.
#[derive(Debug, Default)]
pub struct Detour {
    /// When it is to be tried again, in milliseconds of [`crate::timer::now_ms`]; 0 while there is none.
    until_ms: AtomicU64,
    /// How often it was to be begun, one after the other.
    times: AtomicU32,
    /// Somebody sees whether it is still needed.
    on_trial: AtomicBool,
}

/// How far a detour is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetourState {
    None,
    /// For so long yet.
    Taken,
    /// Somebody is to see whether it is still needed.
    Due,
}

/// The first one; each that follows at once lasts twice as long (RFC 7838 section 2.4 leaves it to clients, which do so).
const FIRST: Duration = Duration::from_mins(5);
const MOST_DOUBLINGS: u32 = 4;

impl Detour {
    pub fn state(&self, now_ms: u64) -> DetourState {
        match self.until_ms.load(Ordering::Relaxed) {
            0 => DetourState::None,
            until if until > now_ms => DetourState::Taken,
            _ => DetourState::Due,
        }
    }

    /// UDP does not come through. Answers for how long the detour is, if it was not known yet.
    pub fn begin(&self, now_ms: u64) -> Option<Duration> {
        let before = self.until_ms.load(Ordering::Relaxed);
        let times = self.times.load(Ordering::Relaxed);
        let length = FIRST * (1 << times.min(MOST_DOUBLINGS));
        let is_new = before <= now_ms || self.on_trial.load(Ordering::Relaxed);
        if !is_new || !self.go_over(before, now_ms, length) {
            return None;
        }
        self.on_trial.store(false, Ordering::Relaxed);
        self.times.fetch_add(1, Ordering::Relaxed);
        Some(length)
    }

    /// Whether the caller is the one to see whether it is still needed, and has so long to do so.
    pub fn is_mine_to_try(&self, now_ms: u64, patience: Duration) -> bool {
        let before = self.until_ms.load(Ordering::Relaxed);
        let is_mine = before != 0 && before <= now_ms && self.go_over(before, now_ms, patience);
        if is_mine {
            self.on_trial.store(true, Ordering::Relaxed);
        }
        is_mine
    }

    /// UDP does come through. True when there was a detour.
    pub fn end(&self) -> bool {
        if self.until_ms.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.times.store(0, Ordering::Relaxed);
        self.on_trial.store(false, Ordering::Relaxed);
        self.until_ms.swap(0, Ordering::Relaxed) != 0
    }

    fn go_over(&self, before: u64, now_ms: u64, length: Duration) -> bool {
        let until = now_ms.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        self.until_ms.compare_exchange(before, until.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_detour_is_tried_by_one_and_lasts_longer_each_time_up_to_a_bound() {
        let detour = Detour::default();
        let (mut now, mut lengths) = (1_000, Vec::new());
        for _ in 0..7 {
            lengths.extend(detour.begin(now).map(|length| length.as_secs() / 60));
            assert_eq!((detour.state(now), detour.begin(now)), (DetourState::Taken, None), "others know already");
            now += 200 * MINUTE;
            assert_eq!(detour.state(now), DetourState::Due);
            assert!(detour.is_mine_to_try(now, PATIENCE) && !detour.is_mine_to_try(now, PATIENCE));
            assert_eq!(detour.state(now), DetourState::Taken);
            now += 4_000;
        }
        assert_eq!(lengths, [5, 10, 20, 40, 80, 80, 80]);
        assert!(detour.end() && !detour.end());
        assert_eq!((detour.state(now), detour.begin(now)), (DetourState::None, Some(FIRST)));
    }
}
