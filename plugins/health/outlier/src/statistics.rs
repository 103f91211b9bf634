/// Attempts and those of them that came to a good end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    all: u64,
    good: u64,
}

/// The share of an endpoint's attempts that came to a good end, from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    slot: u32,
    success: f64,
}

impl Tally {
    pub(crate) fn count(&mut self, good: bool) {
        self.all += 1;
        self.good += u64::from(good);
    }

    /// None of too few to tell.
    pub(crate) fn rate(&self, slot: u32, minimum: u64) -> Option<Rate> {
        (self.all > 0 && self.all >= minimum).then(|| Rate { slot, success: self.good as f64 / self.all as f64 })
    }
}

/// Whoever succeeds less often than the mean by some standard deviations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuccessRate {
    pub(crate) minimum_endpoints: usize,
    pub(crate) minimum_requests: u64,
    pub(crate) deviations: f64,
}

impl SuccessRate {
    /// Slots with what speaks against them.
    pub(crate) fn outliers(&self, rates: &[Rate]) -> Vec<(u32, String)> {
        if rates.is_empty() || rates.len() < self.minimum_endpoints {
            return Vec::new();
        }
        let count = rates.len() as f64;
        let mean = rates.iter().map(|rate| rate.success).sum::<f64>() / count;
        let variance = rates.iter().map(|rate| (rate.success - mean).powi(2)).sum::<f64>() / count;
        let least = mean - self.deviations * variance.sqrt();
        let below = rates.iter().filter(|rate| rate.success < least);
        below
            .map(|rate| {
                (rate.slot, format!("{} of its requests succeed, of all {}", percent(rate.success), percent(mean)))
            })
            .collect()
    }
}

/// Whoever fails too often, whatever the others do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailurePercentage {
    pub(crate) minimum_endpoints: usize,
    pub(crate) minimum_requests: u64,
    pub(crate) threshold: u32,
}

impl FailurePercentage {
    /// Slots with what speaks against them.
    pub(crate) fn outliers(&self, rates: &[Rate]) -> Vec<(u32, String)> {
        if rates.len() < self.minimum_endpoints {
            return Vec::new();
        }
        // Rounding must not keep in just what the threshold names.
        let most = f64::from(self.threshold) / 100.0 - 1e-9;
        let above = rates.iter().filter(|rate| 1.0 - rate.success >= most);
        above.map(|rate| (rate.slot, format!("{} of its requests fail", percent(1.0 - rate.success)))).collect()
    }
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 100.0).round() as u32)
}
