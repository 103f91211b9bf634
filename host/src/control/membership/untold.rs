use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Telling everyone of a change takes the longer the more endpoints a cluster has, whichever of them changed. So there is a pause of so
/// long for each of them between two times, and of thousands that fail in one moment many are told together.
const PAUSE_PER_ENDPOINT: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The endpoints of a cluster of which health has said something that is not in effect yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold {
    slots: BTreeSet<u32>,
    not_before: Option<Instant>,
}

impl Untold {
    /// True when these are the first.
    pub(super) fn note(&mut self, changed: &[u32]) -> bool {
        let are_first = self.slots.is_empty() && !changed.is_empty();
        self.slots.extend(changed);
        are_first
    }

    /// From when on they may be told. None when there is nothing to tell.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        (!self.slots.is_empty()).then(|| self.not_before.map_or(now, |not_before| not_before.max(now)))
    }

    /// What is told now, of a cluster of so many endpoints.
    pub(super) fn take(&mut self, endpoints: usize, now: Instant) -> BTreeSet<u32> {
        let endpoints = u32::try_from(endpoints).unwrap_or(u32::MAX);
        self.not_before = Some(now + PAUSE_PER_ENDPOINT.saturating_mul(endpoints).min(LONGEST_PAUSE));
        std::mem::take(&mut self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_told_at_once_and_others_after_a_pause_together() {
        let now = Instant::now();
        let mut untold = Untold::default();
        assert_eq!(untold.due(now), None);
        assert!(untold.note(&[7]));
        assert_eq!(untold.due(now), Some(now));
        assert_eq!(Vec::from_iter(untold.take(1000, now)), [7]);
        assert_eq!(untold.due(now), None);
        assert!(untold.note(&[9, 8]));
        assert!(!untold.note(&[8]), "who waits knows already");
        let pause = Duration::from_millis(20);
        assert_eq!(untold.due(now), Some(now + pause));
        let later = now + pause * 2;
        assert_eq!(untold.due(later), Some(later));
        assert_eq!(Vec::from_iter(untold.take(usize::MAX, later)), [8, 9]);
        untold.note(&[1]);
        assert_eq!(untold.due(later), Some(later + LONGEST_PAUSE));
    }
}
