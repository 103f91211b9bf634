use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A decision of the live version that its candidate would have taken otherwise.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Difference {
    pub at_unix_ms: u64,
    pub role: String,
    /// Name of the listener of a router, of the cluster otherwise.
    pub scope: String,
    /// What both were asked.
    pub asked: String,
    pub live: String,
    pub candidate: String,
}

/// Some differences between a candidate and the live version, on all workers: the newest ones.
#[derive(Debug, Default)]
pub struct Differences {
    newest: Mutex<VecDeque<Difference>>,
    next_ms: AtomicU64,
}

const KEPT: usize = 32;
/// No more than one in so many milliseconds is put into words.
const APART_MS: u64 = 100;

impl Differences {
    /// Notes a difference, unless another was noted lately or just now. Nobody waits.
    pub(super) fn note(&self, now_ms: u64, difference: impl FnOnce() -> Difference) {
        if now_ms < self.next_ms.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut newest) = self.newest.try_lock() else { return };
        self.next_ms.store(now_ms + APART_MS, Ordering::Relaxed);
        if newest.len() == KEPT {
            newest.pop_front();
        }
        newest.push_back(difference());
    }

    /// The oldest first.
    pub fn to_vec(&self) -> Vec<Difference> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_few_in_a_moment() {
        let differences = Differences::default();
        let difference = |at_unix_ms| Difference {
            at_unix_ms,
            role: "router".into(),
            scope: "web".into(),
            asked: String::new(),
            live: String::new(),
            candidate: String::new(),
        };
        for now_ms in 0..100 * APART_MS {
            differences.note(now_ms, || difference(now_ms));
        }
        let kept = differences.to_vec();
        assert_eq!((kept.len(), kept[0].at_unix_ms), (KEPT, 68 * APART_MS));
        assert!(kept.is_sorted_by(|one, next| one.at_unix_ms + APART_MS <= next.at_unix_ms));
    }
}
