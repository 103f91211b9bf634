/// A number of JSON, as far as it can be told without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number<'a> {
    Unsigned(u64),
    Negative(i64),
    /// Has a fraction or an exponent, or is too large for the others.
    Float(&'a str),
}

/// The powers of ten that a float holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

impl<'a> Number<'a> {
    /// `text` follows the grammar of JSON.
    pub(crate) fn new(text: &'a str) -> Self {
        let (negative, digits) = match text.as_bytes() {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut value = 0u64;
        for byte in digits {
            let digit = match byte {
                b'0'..=b'9' => u64::from(byte - b'0'),
                _ => return Self::Float(text),
            };
            match value.checked_mul(10).and_then(|value| value.checked_add(digit)) {
                Some(sum) => value = sum,
                None => return Self::Float(text),
            }
        }
        match (negative, 0i64.checked_sub_unsigned(value)) {
            (false, _) => Self::Unsigned(value),
            (true, Some(value)) => Self::Negative(value),
            (true, None) => Self::Float(text),
        }
    }
}

/// The float that a number of JSON stands for; infinite when it is too large. Exact for up to 15 digits and powers of
/// ten up to 22, and within a few units of the last place beyond: a parser that is always exact takes 14 KiB.
pub(crate) fn float(text: &str) -> f64 {
    let mut mantissa = 0u64;
    let mut exponent = 0i32;
    let mut in_fraction = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' if mantissa < 1_000_000_000_000_000_000 => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                exponent = exponent.saturating_sub(i32::from(in_fraction));
            }
            // What is beyond 19 digits does not count, but where it stands does.
            b'0'..=b'9' => exponent = exponent.saturating_add(i32::from(!in_fraction)),
            b'.' => in_fraction = true,
            b'e' | b'E' => {
                exponent = exponent.saturating_add(signed(&text.as_bytes()[at + 1..]));
                break;
            }
            _ => {}
        }
    }
    let mut value = mantissa as f64;
    // Further away there are only 0 and infinity.
    let mut steps = exponent.clamp(-400, 400).unsigned_abs() as usize;
    while steps > 0 && mantissa != 0 {
        let power = steps.min(POWERS.len() - 1);
        value = if exponent < 0 { value / POWERS[power] } else { value * POWERS[power] };
        steps -= power;
    }
    if text.starts_with('-') { -value } else { value }
}

fn signed(text: &[u8]) -> i32 {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i32, |value, digit| value.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    if text.starts_with(b"-") { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_kept_whole() {
        for (text, number) in [
            ("0", Number::Unsigned(0)),
            ("18446744073709551615", Number::Unsigned(u64::MAX)),
            ("18446744073709551616", Number::Float("18446744073709551616")),
            ("-9223372036854775808", Number::Negative(i64::MIN)),
            ("-9223372036854775809", Number::Float("-9223372036854775809")),
            ("1.0", Number::Float("1.0")),
            ("1e3", Number::Float("1e3")),
        ] {
            assert_eq!(Number::new(text), number);
        }
    }

    #[test]
    fn floats_that_operators_write_are_exact() {
        for text in ["0.5", "0.1", "1.25", "-3.75", "1e3", "1E+3", "2.5e-3", "0.0", "123456789.012345", "1e22", "1e-22"]
        {
            assert_eq!(float(text), text.parse::<f64>().unwrap(), "{text}");
        }
    }

    #[test]
    fn floats_at_the_ends_are_near() {
        for text in ["1.7976931348623157e307", "2.2250738585072014e-300", "3.141592653589793238462643383279", "1e300"] {
            let exact: f64 = text.parse().unwrap();
            assert!((float(text) - exact).abs() <= exact.abs() * 1e-14, "{text}: {} for {exact}", float(text));
        }
        assert_eq!(float("1e999999999999"), f64::INFINITY);
        assert_eq!(float("-1e999999999999"), f64::NEG_INFINITY);
        assert_eq!(float("1e-999999999999"), 0.0);
        assert_eq!(float("0e999999999999"), 0.0);
        assert_eq!(float(&format!("0.{}1e400", "0".repeat(400))), 0.1);
    }
}
