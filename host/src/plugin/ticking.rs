/// When a policy hears that time has passed.
pub(super) struct Ticking {
    every_ms: u64,
    pub(super) next_ms: u64,
}

/// The least that a plugin may ask for.
const LEAST_MS: u32 = 100;

impl Ticking {
    pub(super) fn begin(every_ms: Option<u32>, now_ms: u64) -> Option<Self> {
        let every_ms = every_ms?.max(LEAST_MS).into();
        Some(Self { every_ms, next_ms: now_ms.saturating_add(every_ms) })
    }

    /// The same policy says anew how far apart they are.
    pub(super) fn renew(before: Option<Self>, every_ms: Option<u32>, now_ms: u64) -> Option<Self> {
        let renewed = Self::begin(every_ms, now_ms)?;
        Some(before.filter(|before| before.every_ms == renewed.every_ms).unwrap_or(renewed))
    }

    /// Whether the time has come; then the next one is.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        // The clock of a trial may be set back.
        let is_due = now_ms >= self.next_ms || self.next_ms - now_ms > self.every_ms;
        if is_due {
            self.next_ms = now_ms.saturating_add(self.every_ms);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_so_far_apart_and_late_ones_are_not_made_up_for() {
        let mut ticking = Ticking::begin(Some(200), 1000).expect("ticks");
        assert_eq!([1000, 1199, 1200, 1399, 1400].map(|now| ticking.is_due(now)), [false, false, true, false, true]);
        assert_eq!([5000, 5001, 5200].map(|now| ticking.is_due(now)), [true, false, true]);
        assert_eq!([10, 11].map(|now| ticking.is_due(now)), [true, false], "the clock was set back");
        assert!(ticking.is_due(u64::MAX));
    }

    #[test]
    fn they_are_a_tenth_of_a_second_apart_at_the_least() {
        let ticking = Ticking::begin(Some(1), 0).expect("ticks");
        assert_eq!(ticking.next_ms, 100);
        assert!(Ticking::begin(None, 0).is_none());
        let same = Ticking::renew(Some(ticking), Some(0), 70).expect("ticks");
        assert_eq!(same.next_ms, 100);
        assert_eq!(Ticking::renew(Some(same), Some(500), 70).expect("ticks").next_ms, 570);
    }
}
