//! What chance explains. All bounds are passed by chance once in a million times.

/// Quantile of the normal distribution for 1 in 1 000 000.
pub(crate) const SIGMAS: f64 = 4.753;

/// Pearson's statistic of counts against the shares that they are expected to have.
pub(crate) fn chi_squared(counts: &[u64], shares: &[f64]) -> f64 {
    let (total, whole): (u64, f64) = (counts.iter().sum(), shares.iter().sum());
    let terms = counts.iter().zip(shares).filter(|(_, share)| **share > 0.0).map(|(count, share)| {
        let expected = total as f64 * share / whole;
        (*count as f64 - expected).powi(2) / expected
    });
    terms.sum()
}

/// What the statistic exceeds by chance, with so many shares that are above 0; by Wilson and Hilferty's approximation.
pub(crate) fn critical(shares: usize) -> f64 {
    let freedom = shares.saturating_sub(1).max(1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + SIGMAS * spread.sqrt()).powi(3)
}

/// By how much the count of something of that probability may be off its mean in so many tries.
pub(crate) fn margin(tries: f64, probability: f64) -> f64 {
    SIGMAS * (tries * probability * (1.0 - probability)).sqrt() + 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_critical_values_are_those_of_the_tables() {
        // Upper quantiles for 1e-6. The approximation errs to the side of more chance where there are few shares.
        for (shares, value) in [(4, 30.665), (10, 44.811), (101, 182.127)] {
            let approximate = critical(shares);
            assert!((value..1.08 * value).contains(&approximate), "{shares}: {approximate} and {value}");
        }
    }

    #[test]
    fn even_counts_have_no_deviation() {
        assert_eq!(chi_squared(&[10, 20, 30], &[1.0, 2.0, 3.0]), 0.0);
        assert!(chi_squared(&[60, 0, 0], &[1.0, 2.0, 3.0]) > 100.0);
    }
}
