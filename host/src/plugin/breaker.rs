use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Faults within [`WINDOW`] after which a plugin is left alone.
const FAULTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// How long it is left alone, unless the operator releases it or loads another version.
const QUARANTINE: Duration = Duration::from_secs(300);
/// Wait before the rebuild that follows the second fault in a row; doubled at each further one. The first rebuild is
/// immediate.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Counts the faults of one version of a plugin over all workers, and quarantines it when they repeat. Time is handed
/// in as milliseconds of the process's monotonic clock.
#[derive(Debug, Default)]
pub struct Breaker {
    /// 0 when it may be called.
    quarantined_until_ms: AtomicU64,
    faults_ms: Mutex<VecDeque<u64>>,
}

/// What an operator sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BreakerState {
    Healthy,
    /// Faults within the last minute.
    Degraded,
    Quarantined,
}

impl Breaker {
    /// True when calls are to be answered by the fallback. One load on the way of every call.
    pub fn is_quarantined(&self, now_ms: impl FnOnce() -> u64) -> bool {
        let until = self.quarantined_until_ms.load(Ordering::Relaxed);
        until != 0 && now_ms() < until
    }

    /// Notes a fault; true when it led into quarantine.
    pub fn fault(&self, now_ms: u64) -> bool {
        let mut faults = self.faults_ms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        forget_old(&mut faults, now_ms);
        faults.push_back(now_ms);
        if faults.len() < FAULTS {
            return false;
        }
        faults.clear();
        self.quarantined_until_ms.store(now_ms + QUARANTINE.as_millis() as u64, Ordering::Relaxed);
        true
    }

    pub fn release(&self) {
        self.quarantined_until_ms.store(0, Ordering::Relaxed);
    }

    pub fn state(&self, now_ms: u64) -> BreakerState {
        if self.is_quarantined(|| now_ms) {
            return BreakerState::Quarantined;
        }
        let mut faults = self.faults_ms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        forget_old(&mut faults, now_ms);
        if faults.is_empty() { BreakerState::Healthy } else { BreakerState::Degraded }
    }
}

fn forget_old(faults: &mut VecDeque<u64>, now_ms: u64) {
    let window = WINDOW.as_millis() as u64;
    while faults.front().is_some_and(|at| now_ms.saturating_sub(*at) > window) {
        faults.pop_front();
    }
}

/// Wait before the rebuild that follows `consecutive` faults with no good call between them.
pub(super) fn backoff_ms(consecutive: u32) -> u64 {
    let Some(doublings) = consecutive.checked_sub(2) else { return 0 };
    let first = FIRST_BACKOFF.as_millis() as u64;
    first.saturating_mul(1 << doublings.min(20)).min(MAX_BACKOFF.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_faults_in_a_minute_quarantine_for_five_minutes() {
        let breaker = Breaker::default();
        for at in [0, 10, 20, 30] {
            assert!(!breaker.fault(at));
        }
        assert_eq!(breaker.state(31), BreakerState::Degraded);
        assert!(breaker.fault(40));
        assert_eq!(breaker.state(41), BreakerState::Quarantined);
        assert!(breaker.is_quarantined(|| 300_000));
        assert!(!breaker.is_quarantined(|| 300_041));
    }

    #[test]
    fn faults_far_apart_do_not_add_up() {
        let breaker = Breaker::default();
        for minute in 0..20 {
            assert!(!breaker.fault(minute * 61_000));
        }
    }

    #[test]
    fn an_operator_can_release() {
        let breaker = Breaker::default();
        for _ in 0..5 {
            breaker.fault(1);
        }
        breaker.release();
        assert_eq!(breaker.state(2), BreakerState::Healthy);
    }

    #[test]
    fn rebuilds_wait_longer_each_time() {
        assert_eq!([1, 2, 3, 4, 60].map(backoff_ms), [0, 10, 20, 40, 30_000]);
    }
}
