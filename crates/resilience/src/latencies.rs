/// How long answers took, roughly: in buckets of an eighth of an octave, from 64 µs to over a minute.
#[derive(Clone, Debug)]
pub struct Latencies {
    counts: [u32; Self::BUCKETS],
}

/// Buckets of each doubling, as a power of two.
const PARTS_LOG2: u32 = 3;
const FIRST_US: u32 = 64;

impl Latencies {
    pub const BUCKETS: usize = 161;

    /// The bucket of a time in microseconds.
    pub fn bucket(us: u32) -> usize {
        let us = us.max(FIRST_US);
        let octave = us.ilog2() - FIRST_US.ilog2();
        let part = (us >> (us.ilog2() - PARTS_LOG2)) & ((1 << PARTS_LOG2) - 1);
        (((octave << PARTS_LOG2) | part) as usize).min(Self::BUCKETS - 1)
    }

    /// The longest time of a bucket, in microseconds.
    fn up_to(bucket: usize) -> u32 {
        let bucket = bucket as u32 + 1;
        let (octave, part) = (bucket >> PARTS_LOG2, bucket & ((1 << PARTS_LOG2) - 1));
        (((1 << PARTS_LOG2) | part) << (octave + FIRST_US.ilog2() - PARTS_LOG2)) - 1
    }

    pub fn note(&mut self, bucket: usize, count: u32) {
        if let Some(known) = self.counts.get_mut(bucket) {
            *known = known.saturating_add(count);
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    pub fn add(&mut self, others: &Self) {
        for (bucket, count) in others.counts.iter().enumerate() {
            self.note(bucket, *count);
        }
    }

    /// The time within which so many percent of the answers came, in microseconds; none without any.
    pub fn percentile(&self, percent: u32) -> Option<u32> {
        let rank = (self.count() * u64::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        self.counts
            .iter()
            .position(|count| {
                seen += u64::from(*count);
                seen >= rank
            })
            .map(Self::up_to)
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: [0; Self::BUCKETS] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u32]) -> Latencies {
        let mut latencies = Latencies::default();
        times.iter().for_each(|us| latencies.note(Latencies::bucket(*us), 1));
        latencies
    }

    proptest! {
        #[test]
        fn a_time_is_known_to_an_eighth(us in 64_u32..60_000_000) {
            let told = of(&[us]).percentile(50).expect("there is one");
            prop_assert!(told >= us && f64::from(told) <= f64::from(us) * 1.125, "{us} {told}");
        }

        #[test]
        fn longer_times_are_in_no_earlier_buckets(one in any::<u32>(), other in any::<u32>()) {
            prop_assert!(Latencies::bucket(one.min(other)) <= Latencies::bucket(one.max(other)));
            prop_assert!(Latencies::bucket(one) < Latencies::BUCKETS);
        }
    }

    #[test]
    fn percentiles_are_ranks() {
        assert_eq!(of(&[]).percentile(50), None);
        let mut latencies = of(&[1000, 2000, 4000, 8000]);
        let near = |percent, us: u32| latencies.percentile(percent).is_some_and(|told| told >= us && told < us * 9 / 8);
        assert!(near(0, 1000) && near(50, 2000) && near(75, 4000) && near(100, 8000));
        latencies.add(&of(&[0; 12]));
        assert_eq!((latencies.count(), latencies.percentile(75).map(|us| us < 80)), (16, Some(true)));
    }
}
