use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::json::push_decimal;
use crate::{JsonSchema, Schema, json_schema};

/// A span of time as operators write it: `500ms`, `10s`, `1h30m`. Units are `ms`, `s`, `m`, `h` and `d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    millis: u64,
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Duration {
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    pub const fn from_secs(secs: u64) -> Self {
        Self { millis: secs * 1000 }
    }

    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// As the interval of ticks in a plan, 100 ms at the least.
    pub(crate) fn as_tick_ms(self) -> u32 {
        u32::try_from(self.millis).unwrap_or(u32::MAX).max(100)
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.millis / 1000
    }

    pub const fn is_zero(self) -> bool {
        self.millis == 0
    }
}

/// The text is no duration, or one that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADuration;

impl fmt::Display for NotADuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a duration such as `500ms`, `10s` or `1h30m`")
    }
}

impl std::error::Error for NotADuration {}

impl FromStr for Duration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        if text.is_empty() {
            return Err(NotADuration);
        }
        let mut rest = text.as_bytes();
        let mut millis = 0u64;
        while !rest.is_empty() {
            millis = part(&mut rest).and_then(|part| millis.checked_add(part)).ok_or(NotADuration)?;
        }
        Ok(Self { millis })
    }
}

/// Takes one number with its unit. Bytes, since a slice of a string brings along what it takes to tell where it was cut.
fn part(text: &mut &[u8]) -> Option<u64> {
    let mut number = None;
    while let [digit @ b'0'..=b'9', rest @ ..] = *text {
        number = Some(number.unwrap_or(0u64).checked_mul(10)?.checked_add(u64::from(digit - b'0'))?);
        *text = rest;
    }
    let letters = text.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let (letters, rest) = text.split_at_checked(letters)?;
    *text = rest;
    let (_, unit) = UNITS.iter().find(|(name, _)| name.as_bytes() == letters)?;
    number?.checked_mul(*unit)
}

/// The largest unit that divides it: what was `60s` reads `1m`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().rev().find(|(_, unit)| self.millis != 0 && self.millis.is_multiple_of(*unit));
        let (name, unit) = whole.unwrap_or(&("s", 1000));
        // The number's own way to be displayed would come along for this alone.
        let mut text = String::new();
        push_decimal(&mut text, self.millis / unit);
        text.push_str(name);
        f.write_str(&text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `500ms`, `10s` or `1h30m`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl serde::Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Duration {
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_operators_write() {
        for (text, millis) in [("500ms", 500), ("10s", 10_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "10", "s", "1.5s", "-1s", "1 s", "1S", "1w", "99999999999999999999s", "9999999999999999d"] {
            assert_eq!(text.parse::<Duration>(), Err(NotADuration), "{text}");
        }
    }

    #[test]
    fn writes_the_largest_unit_that_divides() {
        for text in ["500ms", "90s", "1h", "0s", "1d"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
    }
}
