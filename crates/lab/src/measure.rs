//! Bounded records of a run, however many requests it has.

/// Slices of time that a run is divided into, for what is shown over time.
pub const SLICES: usize = 100;

/// Counts times by their magnitude: so many steps for each doubling, so that a percentile is true to one part in as many.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    bits: u32,
    counts: Vec<u32>,
    answered: u64,
    failed: u64,
    sum_us: u64,
    most_us: u64,
}

impl Histogram {
    /// Percentiles are true to 0.4 %.
    pub(crate) fn fine() -> Self {
        Self::new(7)
    }

    /// Percentiles are true to 3 %.
    pub(crate) fn coarse() -> Self {
        Self::new(4)
    }

    fn new(bits: u32) -> Self {
        let steps = ((33 - bits) << bits) as usize;
        Self { bits, counts: vec![0; steps], answered: 0, failed: 0, sum_us: 0, most_us: 0 }
    }

    pub(crate) fn answered(&mut self, us: u64) {
        let within = us.min(u64::from(u32::MAX)) as u32;
        let step = self.step(within);
        self.counts[step] = self.counts[step].saturating_add(1);
        self.answered += 1;
        self.sum_us += us;
        self.most_us = self.most_us.max(us);
    }

    pub(crate) fn failed(&mut self) {
        self.failed += 1;
    }

    fn step(&self, us: u32) -> usize {
        let octave = (32 - us.leading_zeros()).saturating_sub(self.bits + 1);
        ((octave as usize) << self.bits) + (us >> octave) as usize
    }

    /// The middle of what a step counts.
    fn middle(&self, step: usize) -> u64 {
        let octave = (step >> self.bits).saturating_sub(1);
        let first = ((step - (octave << self.bits)) as u64) << octave;
        first + ((1_u64 << octave) - 1) / 2
    }

    pub(crate) fn requests(&self) -> u64 {
        self.answered + self.failed
    }

    /// The time within which this share of the requests was answered. Those that failed count as slower than any other:
    /// none when they are in the way.
    pub(crate) fn percentile(&self, share: f64) -> Option<u64> {
        let rank = ((share * self.requests() as f64).ceil() as u64).max(1);
        if rank > self.answered {
            return None;
        }
        let mut passed = 0;
        for (step, count) in self.counts.iter().enumerate() {
            passed += u64::from(*count);
            if passed >= rank {
                return Some(self.middle(step).min(self.most_us));
            }
        }
        Some(self.most_us)
    }

    pub(crate) fn mean_us(&self) -> Option<u64> {
        (self.answered > 0).then(|| self.sum_us / self.answered)
    }

    pub(crate) fn most_us(&self) -> Option<u64> {
        (self.answered > 0).then_some(self.most_us)
    }
}

/// Adds up a level over time, in all that is counted and for each slice.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    span: Span,
    level: u64,
    since_us: u64,
    counted: u64,
    slices: Vec<u64>,
}

/// Which time a run covers, and which of it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) warm_up_us: u64,
    pub(crate) duration_us: u64,
}

impl Span {
    pub(crate) fn is_counted(self, at_us: u64) -> bool {
        (self.warm_up_us..self.duration_us).contains(&at_us)
    }

    pub(crate) fn slice_us(self) -> u64 {
        self.duration_us.div_ceil(SLICES as u64).max(1)
    }

    pub(crate) fn slice(self, at_us: u64) -> usize {
        ((at_us / self.slice_us()) as usize).min(SLICES - 1)
    }
}

impl Level {
    pub(crate) fn new(span: Span) -> Self {
        Self { span, level: 0, since_us: 0, counted: 0, slices: vec![0; SLICES] }
    }

    pub(crate) fn set(&mut self, now_us: u64, level: u32) {
        self.pass(now_us);
        self.level = u64::from(level);
    }

    fn pass(&mut self, now_us: u64) {
        let until = now_us.min(self.span.duration_us);
        if self.level > 0 {
            let counted_from = self.since_us.max(self.span.warm_up_us);
            self.counted += self.level * until.saturating_sub(counted_from);
            let mut from = self.since_us;
            while from < until {
                let slice = self.span.slice(from);
                let end =
                    if slice + 1 == SLICES { until } else { until.min((slice as u64 + 1) * self.span.slice_us()) };
                self.slices[slice] += self.level * (end - from);
                from = end;
            }
        }
        self.since_us = self.since_us.max(until);
    }

    /// Mean over what is counted.
    pub(crate) fn mean(&mut self) -> f64 {
        self.pass(self.span.duration_us);
        self.counted as f64 / (self.span.duration_us - self.span.warm_up_us).max(1) as f64
    }

    /// Mean of each slice.
    pub(crate) fn slices(&mut self) -> Vec<f64> {
        self.pass(self.span.duration_us);
        let slice_us = self.span.slice_us();
        let length = |slice: usize| {
            let begin = slice as u64 * slice_us;
            self.span.duration_us.saturating_sub(begin).min(slice_us).max(1)
        };
        self.slices.iter().enumerate().map(|(slice, sum)| *sum as f64 / length(slice) as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_a_sorted_list() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut times: Vec<u64> = (0..10_000).map(|_| random.u64(..100) * random.u64(..100_000) + 1).collect();
        let (mut fine, mut coarse) = (Histogram::fine(), Histogram::coarse());
        times.iter().for_each(|us| {
            fine.answered(*us);
            coarse.answered(*us);
        });
        times.sort_unstable();
        for share in [0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = times[(share * times.len() as f64).ceil() as usize - 1] as f64;
            let off = |histogram: &Histogram| (histogram.percentile(share).unwrap() as f64 / exact - 1.0).abs();
            assert!(off(&fine) <= 0.004, "p{share}: {}", off(&fine));
            assert!(off(&coarse) <= 0.032, "p{share}: {}", off(&coarse));
        }
        assert_eq!(fine.most_us(), times.last().copied());
        assert_eq!(fine.mean_us(), Some(times.iter().sum::<u64>() / 10_000));
    }

    #[test]
    fn small_and_huge_times_have_their_place() {
        for us in [0, 1, 127, 128, 255, 256, 1 << 20, u64::from(u32::MAX), u64::MAX >> 20] {
            let mut histogram = Histogram::fine();
            histogram.answered(us);
            let told = histogram.percentile(0.5).unwrap();
            let within = us.min(u64::from(u32::MAX));
            assert!(told.abs_diff(within) <= within / 200, "{us}: {told}");
        }
        assert_eq!(Histogram::fine().percentile(0.5), None);
    }

    #[test]
    fn what_failed_is_slower_than_all() {
        let mut histogram = Histogram::fine();
        (0..98).for_each(|_| histogram.answered(10));
        (0..2).for_each(|_| histogram.failed());
        assert_eq!((histogram.percentile(0.98), histogram.percentile(0.99)), (Some(10), None));
    }

    #[test]
    fn a_level_is_added_up_over_slices_and_where_it_counts() {
        let span = Span { warm_up_us: 100, duration_us: 1000 };
        let mut level = Level::new(span);
        level.set(95, 2);
        level.set(195, 1);
        level.set(5000, 7);
        assert_eq!(level.mean(), (2 * 95 + 805) as f64 / 900.0);
        let slices = level.slices();
        assert_eq!((slices[8], slices[9], slices[18], slices[19], slices[99]), (0.0, 1.0, 2.0, 1.5, 1.0));
    }
}
