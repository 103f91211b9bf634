//! Logarithm, exponential and random variates from nothing but the operations that IEEE 754 defines to the last bit: the
//! system's own may differ in it from machine to machine, and a simulation must not.

const LN_2: f64 = std::f64::consts::LN_2;

/// Natural logarithm of a positive number.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut series = 0.0;
    for k in (0..12).rev() {
        series = series * square + 1.0 / f64::from(2 * k + 1);
    }
    2.0 * s * series + exponent as f64 * LN_2
}

pub(crate) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let halvings = (x / LN_2).round();
    let rest = x - halvings * LN_2;
    let mut series = 1.0;
    for k in (1..16).rev() {
        series = 1.0 + series * rest / f64::from(k);
    }
    series * f64::from_bits(((halvings as i64 + 1023) as u64) << 52)
}

pub(crate) fn pow(base: f64, exponent: f64) -> f64 {
    exp(exponent * ln(base))
}

/// In (0, 1].
pub(crate) fn uniform(random: &mut fastrand::Rng) -> f64 {
    ((random.u64(..) >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// Exponentially distributed, of mean 1.
pub(crate) fn exponential(random: &mut fastrand::Rng) -> f64 {
    -ln(uniform(random))
}

/// Of the standard normal distribution, by Marsaglia's polar method.
pub(crate) fn normal(random: &mut fastrand::Rng) -> f64 {
    loop {
        let (u, v) = (2.0 * uniform(random) - 1.0, 2.0 * uniform(random) - 1.0);
        let square = u * u + v * v;
        if square > 0.0 && square < 1.0 {
            return u * (-2.0 * ln(square) / square).sqrt();
        }
    }
}

/// Next number of Steele, Lea and Flood's SplitMix64: turns seeds that differ a little into ones that differ much.
pub(crate) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_system_but_for_the_last_bits() {
        for x in [1e-12, 0.1, 0.5, 0.9999, 1.0, 1.5, 2.0, 3.0, 1e9] {
            assert!((ln(x) - x.ln()).abs() <= 1e-14 * x.ln().abs().max(1.0), "ln {x}");
        }
        for x in [-300.0, -20.0, -1.0, -1e-9, 0.0, 0.3, 1.0, 2.5, 100.0] {
            assert!((exp(x) - x.exp()).abs() <= 1e-13 * x.exp(), "exp {x}");
        }
        assert!((pow(3.0, 1.5) - 27.0_f64.sqrt()).abs() < 1e-13);
    }

    #[test]
    fn variates_have_the_moments_of_their_distributions() {
        let mut random = fastrand::Rng::with_seed(7);
        let count = 200_000;
        let mean = |mut draw: Box<dyn FnMut() -> f64>| (0..count).map(|_| draw()).sum::<f64>() / f64::from(count);
        let mut of = random.fork();
        assert!((mean(Box::new(move || exponential(&mut of))) - 1.0).abs() < 0.01);
        let mut of = random.fork();
        assert!(mean(Box::new(move || normal(&mut of))).abs() < 0.01);
        let mut of = random.fork();
        assert!((mean(Box::new(move || normal(&mut of).powi(2))) - 1.0).abs() < 0.02);
    }
}
