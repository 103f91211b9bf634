use std::time::Duration;

use super::cell::{Counter, Writers};

/// Most bounds that a scale has.
const MAX_BOUNDS: usize = 18;

/// Times a client or an endpoint can notice: 100 µs to 60 s.
pub(super) static LATENCY: Scale = Scale::new(
    &[
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
        30_000_000_000,
        60_000_000_000,
    ],
    // A hundred thousand long polls at once on one worker add as many seconds each second: in nanoseconds the sum would
    // wrap after two days, in units of 256 ns after more than a year.
    8,
);

/// How long TCP connections last: 1 ms to a day.
pub(super) static LASTING: Scale = Scale::new(
    &[
        1_000_000,
        10_000_000,
        100_000_000,
        1_000_000_000,
        10_000_000_000,
        60_000_000_000,
        600_000_000_000,
        3_600_000_000_000,
        21_600_000_000_000,
        86_400_000_000_000,
    ],
    // As above; a connection of a month is 2.6e15 ns.
    20,
);

/// Calls into plugins: 100 ns to 10 ms. A thread adds at most a second each second, so the sum keeps nanoseconds.
pub(super) static CALL: Scale = Scale::new(
    &[
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000,
    ],
    0,
);

/// Upper bounds of buckets, and how to find one without searching.
#[derive(Debug)]
pub(super) struct Scale {
    /// In nanoseconds, ascending, then padded with `u64::MAX`, which stands for the last, unbounded bucket.
    bounds: [u64; MAX_BOUNDS + 1],
    len: usize,
    /// By number of significant bits of a value: how many bounds lie below every value of that many bits. Bounds at
    /// least double from one to the next, so at most one of them lies among the values of one bit length, and a single
    /// comparison settles the rest.
    first: [u8; 65],
    /// The sum is kept in units of 2^this nanoseconds.
    sum_shift: u32,
}

impl Scale {
    const fn new(nanos: &[u64], sum_shift: u32) -> Self {
        assert!(nanos.len() <= MAX_BOUNDS);
        let mut bounds = [u64::MAX; MAX_BOUNDS + 1];
        let mut index = 0;
        while index < nanos.len() {
            assert!(index == 0 || nanos[index] / 2 >= nanos[index - 1], "bounds must at least double");
            bounds[index] = nanos[index];
            index += 1;
        }
        let mut first = [0; 65];
        let mut bits = 1;
        while bits <= 64 {
            let lowest = 1_u64 << (bits - 1);
            let mut below = 0;
            while below < nanos.len() && nanos[below] < lowest {
                below += 1;
            }
            first[bits] = below as u8;
            bits += 1;
        }
        Self { bounds, len: nanos.len(), first, sum_shift }
    }

    /// The bucket of a value: the first whose bound is not below it.
    #[inline]
    fn bucket(&self, nanos: u64) -> usize {
        let bits = 64 - nanos.leading_zeros();
        let first = usize::from(self.first[bits as usize]);
        first + usize::from(nanos > self.bounds[first])
    }
}

/// How often values fell between fixed bounds. Like [`Counter`], it has one writing thread unless its owner says
/// otherwise.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    buckets: [Counter; MAX_BOUNDS + 1],
    sum: Counter,
}

impl Histogram {
    pub(super) fn new(scale: &'static Scale) -> Self {
        Self { scale, buckets: std::array::from_fn(|_| Counter::default()), sum: Counter::default() }
    }

    #[inline]
    pub fn observe(&self, duration: Duration) {
        self.observe_by(Writers::One, duration);
    }

    #[inline]
    pub(super) fn observe_by(&self, writers: Writers, duration: Duration) {
        // Saturates after 584 years.
        let nanos = duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()));
        self.buckets[self.scale.bucket(nanos)].add_by(writers, 1);
        // Rounded, not cut: a cut would lower every mean by half a unit.
        let half = (1 << self.scale.sum_shift) >> 1;
        self.sum.add_by(writers, nanos.saturating_add(half) >> self.scale.sum_shift);
    }
}

/// What the histograms of one series, one a shard, make together.
#[derive(Debug)]
pub(super) struct HistogramTotal {
    /// Of times, in seconds.
    pub(super) sum: f64,
    pub(super) count: u64,
    /// Upper bound, likewise, and the values of this bucket alone.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl HistogramTotal {
    pub(super) fn of<'a>(scale: &'static Scale, shards: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut sum = 0.0;
        let mut counts = [0_u64; MAX_BOUNDS + 1];
        for shard in shards {
            let unit_nanos = (1_u64 << shard.scale.sum_shift) as f64;
            sum += shard.sum.get() as f64 * unit_nanos / 1e9;
            for (count, cell) in counts.iter_mut().zip(&shard.buckets) {
                *count += cell.get();
            }
        }
        let buckets: Vec<_> = (0..=scale.len)
            .map(|index| {
                let bound = if index == scale.len { f64::INFINITY } else { scale.bounds[index] as f64 / 1e9 };
                (bound, counts[index])
            })
            .collect();
        // Counted from the buckets as read: a cell of its own could disagree with them in the middle of an observation.
        Self { sum, count: counts.iter().sum(), buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow_bucket(scale: &Scale, nanos: u64) -> usize {
        scale.bounds[..scale.len].iter().take_while(|bound| **bound < nanos).count()
    }

    #[test]
    fn a_value_belongs_to_the_first_bound_not_below_it() {
        for scale in [&LATENCY, &CALL] {
            let edges = scale.bounds[..scale.len].iter().flat_map(|bound| [bound - 1, *bound, bound + 1]);
            let powers = (0..64).flat_map(|bits| [1_u64 << bits, (1 << bits) - 1]);
            for nanos in edges.chain(powers).chain([u64::MAX]) {
                assert_eq!(scale.bucket(nanos), slow_bucket(scale, nanos), "{nanos} ns");
            }
        }
    }

    #[test]
    fn sums_round_and_never_overflow_on_the_largest_duration() {
        let histogram = Histogram::new(&LATENCY);
        for _ in 0..1000 {
            histogram.observe(Duration::from_nanos(100_000));
        }
        let total = HistogramTotal::of(&LATENCY, [&histogram].into_iter());
        assert!((total.sum - 0.1).abs() < 0.0002, "{}", total.sum);
        assert_eq!((total.count, total.buckets[0]), (1000, (0.0001, 1000)));

        histogram.observe(Duration::MAX);
        let total = HistogramTotal::of(&LATENCY, [&histogram].into_iter());
        assert_eq!(total.buckets.last(), Some(&(f64::INFINITY, 1)));
    }

    #[test]
    fn shards_add_up_bucket_by_bucket() {
        let (one, other) = (Histogram::new(&CALL), Histogram::new(&CALL));
        one.observe(Duration::from_nanos(90));
        other.observe_by(Writers::Many, Duration::from_nanos(100));
        other.observe(Duration::from_nanos(101));
        let total = HistogramTotal::of(&CALL, [&one, &other].into_iter());
        assert_eq!((total.buckets[0].1, total.buckets[1].1, total.count), (2, 1, 3));
        assert!((total.sum - 291e-9).abs() < 1e-12);
    }
}
