use std::collections::VecDeque;

use crate::Config;

/// The last intervals between signs of life, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Intervals(VecDeque<u32>);

impl Intervals {
    pub(crate) fn add(&mut self, interval_ms: u64, config: &Config) {
        if self.0.len() >= config.samples as usize {
            self.0.pop_front();
        }
        self.0.push_back(u32::try_from(interval_ms).unwrap_or(u32::MAX));
    }

    /// How unusual it is that so much time has passed since the last sign: the negative logarithm of the probability that one
    /// comes later still, where intervals are distributed normally. The logistic function stands in for the integral, as in Akka: its
    /// error is below 0.00014 (Bowling et al., 2009), which far out makes φ up to a fifth too large.
    pub(crate) fn phi(&self, passed_ms: u64, config: &Config) -> f64 {
        let (mean, deviation) = self.mean_and_deviation(config);
        let mean = mean + millis(config.acceptable_pause);
        let y = (passed_ms as f64 - mean) / deviation.max(millis(config.min_deviation));
        let e = (-y * (1.5976 + 0.070_566 * y * y)).exp();
        let later = if y > 0.0 { e / (1.0 + e) } else { 1.0 - 1.0 / (1.0 + e) };
        -later.log10()
    }

    fn mean_and_deviation(&self, config: &Config) -> (f64, f64) {
        if self.0.is_empty() {
            let first = millis(config.first_interval);
            return (first, first / 4.0);
        }
        let count = self.0.len() as f64;
        let mean = self.0.iter().map(|ms| f64::from(*ms)).sum::<f64>() / count;
        let variance = self.0.iter().map(|ms| (f64::from(*ms) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }
}

fn millis(span: plimsoll_sdk::Duration) -> f64 {
    span.as_millis() as f64
}

#[cfg(test)]
mod tests {
    use plimsoll_sdk::Duration;

    use super::*;

    #[test]
    fn phi_is_what_the_normal_distribution_says() {
        let config = Config {
            min_deviation: Duration::from_millis(100),
            acceptable_pause: Duration::from_millis(0),
            ..Config::default()
        };
        let mut intervals = Intervals::default();
        for interval_ms in [900, 1100].repeat(50) {
            intervals.add(interval_ms, &config);
        }
        // The mean is 1000 ms, the deviation 100 ms: 1, 2, 3 deviations later. scipy.stats.norm.sf(y) has the probabilities.
        for (passed_ms, later) in [(1000, 0.5), (1100, 0.158_655), (1200, 0.022_750), (1300, 0.001_350)] {
            let phi = intervals.phi(passed_ms, &config);
            assert!((10f64.powf(-phi) - later).abs() < 0.000_14, "{passed_ms}: {phi}");
        }
        assert!(intervals.phi(0, &config) < 1e-9 && intervals.phi(u64::MAX, &config) > 100.0);
    }

    #[test]
    fn the_oldest_are_forgotten_and_a_pause_is_accepted() {
        let config = Config { samples: 10, min_deviation: Duration::from_millis(10), ..Config::default() };
        let mut intervals = Intervals::default();
        for interval_ms in [[60_000; 10], [1000; 10]].concat() {
            intervals.add(interval_ms, &config);
        }
        assert!((intervals.phi(4000, &config) - 2f64.log10()).abs() < 1e-9);
        assert!(intervals.phi(4100, &config) > 8.0);
    }
}
