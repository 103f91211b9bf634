use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cell::SharedCounter;
use super::histogram::HistogramTotal;

/// Exponents of two of the least and the largest bound: from a millisecond in seconds to a million of whatever is counted.
/// Nobody can say beforehand what a plugin measures, and in which unit; bounds that double tell any quantile to a factor of
/// two, are numbers without a rest, and need no search.
const EXPONENTS: std::ops::RangeInclusive<i32> = -10..=20;
const BOUNDS: usize = (*EXPONENTS.end() - *EXPONENTS.start() + 1) as usize;

/// How often values that a plugin has observed fell between fixed bounds. Any thread may write.
#[derive(Debug)]
pub(super) struct PluginHistogram {
    /// The last one is without a bound.
    buckets: [SharedCounter; BOUNDS + 1],
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Default for PluginHistogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| SharedCounter::default()), sum: AtomicU64::new(0) }
    }
}

impl PluginHistogram {
    /// False, and nothing, for what no histogram can have: a sum that falls is taken for a restart by those who read it.
    pub(super) fn observe(&self, value: f64) -> bool {
        if !value.is_finite() || value < 0.0 {
            return false;
        }
        self.buckets[bucket(value)].increment();
        let mut sum = self.sum.load(Relaxed);
        while let Err(other) =
            self.sum.compare_exchange_weak(sum, (f64::from_bits(sum) + value).to_bits(), Relaxed, Relaxed)
        {
            sum = other;
        }
        true
    }

    pub(super) fn total(&self) -> HistogramTotal {
        let bounds = EXPONENTS.map(|exponent| 2_f64.powi(exponent)).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(&self.buckets).map(|(bound, bucket)| (bound, bucket.get())).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        HistogramTotal { sum: f64::from_bits(self.sum.load(Relaxed)), count, buckets }
    }
}

/// The first bucket whose bound is not below the value, which is neither negative nor infinite.
fn bucket(value: f64) -> usize {
    const FRACTION_BITS: u32 = 52;
    let bits = value.to_bits();
    // The power of two that the value begins with, and one more where it goes beyond that.
    let power = (bits >> FRACTION_BITS) as i32 - 1023;
    let above = i32::from(bits & ((1 << FRACTION_BITS) - 1) != 0);
    (power + above - EXPONENTS.start()).clamp(0, BOUNDS as i32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_the_first_bound_not_below_it() {
        let bounds: Vec<f64> = PluginHistogram::default().total().buckets.iter().map(|(bound, _)| *bound).collect();
        assert_eq!((bounds.len(), bounds[10], bounds[30], bounds[31]), (32, 1.0, 1_048_576.0, f64::INFINITY));
        let edges = bounds[..31].iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up()]);
        for value in edges.chain([0.0, f64::MIN_POSITIVE, 5e-324, 3.0, 1e300, f64::MAX]) {
            let expected = bounds.iter().take_while(|bound| **bound < value).count();
            assert_eq!(bucket(value), expected, "{value}");
        }
    }

    #[test]
    fn what_would_spoil_the_sum_is_refused() {
        let histogram = PluginHistogram::default();
        assert!([0.0, 0.5, 3.0].iter().all(|value| histogram.observe(*value)));
        assert!([f64::NAN, f64::INFINITY, -1.0].iter().all(|value| !histogram.observe(*value)));
        let total = histogram.total();
        assert_eq!((total.sum, total.count), (3.5, 3));
    }
}
