use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// A time span as text with units: `500ms`, `10s`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A time span that may be far below a millisecond: `250us`, `2ms500us`, `10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FineSpan(pub(crate) Duration);

/// A time span, or `off` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanOrOff(pub(super) Option<Duration>);

/// A number of bytes, plain or with a unit: `4096`, `64KiB`, `10MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// A number of bytes, or `off` for no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SizeOrOff(pub(super) Option<u64>);

const SPAN: &str = "a time span such as 500ms, 10s, 5m or 1h";
const FINE_SPAN: &str = "a time span such as 250us, 10ms, 5s or 1h";
const SIZE: &str = "a number of bytes such as 4096, 64KiB or 10MiB";

fn parse_span(text: &str) -> Option<Duration> {
    parse_fine_span(text).filter(|_| !text.contains("us"))
}

fn parse_fine_span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let micros = match &rest[..letters] {
            "us" => 1,
            "ms" => 1000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(Duration::from_micros(amount.checked_mul(micros)?))?;
    }
    Some(total)
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let amount: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim_start() {
        "" | "B" => 1,
        "KiB" | "k" | "K" => 1 << 10,
        "MiB" | "m" | "M" => 1 << 20,
        "GiB" | "g" | "G" => 1 << 30,
        _ => return None,
    };
    amount.checked_mul(unit)
}

/// Text or a number, as the field came.
#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Number(u64),
    Text(String),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

fn raw<'de, D: Deserializer<'de>>(deserializer: D, expected: &str) -> Result<Raw, D::Error> {
    Raw::deserialize(deserializer).map_err(|_| serde::de::Error::custom(format!("expected {expected}")))
}

fn wrong<E: serde::de::Error>(expected: &str, found: &Raw) -> E {
    E::custom(format!("expected {expected}, found {found}"))
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = raw(deserializer, SPAN)?;
        match &found {
            Raw::Text(text) => parse_span(text).map(Self).ok_or_else(|| wrong(SPAN, &found)),
            Raw::Number(_) => Err(wrong(SPAN, &found)),
        }
    }
}

impl<'de> Deserialize<'de> for FineSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = raw(deserializer, FINE_SPAN)?;
        match &found {
            Raw::Text(text) => parse_fine_span(text).map(Self).ok_or_else(|| wrong(FINE_SPAN, &found)),
            Raw::Number(_) => Err(wrong(FINE_SPAN, &found)),
        }
    }
}

impl<'de> Deserialize<'de> for SpanOrOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = format!("{SPAN}, or off");
        let found = raw(deserializer, &expected)?;
        match &found {
            Raw::Text(text) if text == "off" => Ok(Self(None)),
            Raw::Text(text) => parse_span(text).map(|span| Self(Some(span))).ok_or_else(|| wrong(&expected, &found)),
            Raw::Number(_) => Err(wrong(&expected, &found)),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = raw(deserializer, SIZE)?;
        match &found {
            Raw::Number(bytes) => Ok(Self(*bytes)),
            Raw::Text(text) => parse_size(text).map(Self).ok_or_else(|| wrong(SIZE, &found)),
        }
    }
}

impl<'de> Deserialize<'de> for SizeOrOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = format!("{SIZE}, or off");
        let found = raw(deserializer, &expected)?;
        match &found {
            Raw::Number(bytes) => Ok(Self(Some(*bytes))),
            Raw::Text(text) if text == "off" => Ok(Self(None)),
            Raw::Text(text) => parse_size(text).map(|size| Self(Some(size))).ok_or_else(|| wrong(&expected, &found)),
        }
    }
}

macro_rules! schema {
    ($type:ty, $types:tt, $pattern:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $types, "pattern": $pattern })
            }
        }
    };
}

const SPAN_PATTERN: &str = "^([0-9]+(ms|s|m|h|d))+$";
const FINE_SPAN_PATTERN: &str = "^([0-9]+(us|ms|s|m|h|d))+$";
const SPAN_OR_OFF_PATTERN: &str = "^(off|([0-9]+(ms|s|m|h|d))+)$";
const SIZE_PATTERN: &str = "^[0-9]+ ?(B|KiB|MiB|GiB|[kKmMgG])?$";
const SIZE_OR_OFF_PATTERN: &str = "^(off|[0-9]+ ?(B|KiB|MiB|GiB|[kKmMgG])?)$";

schema!(Span, "string", SPAN_PATTERN);
schema!(FineSpan, "string", FINE_SPAN_PATTERN);
schema!(SpanOrOff, "string", SPAN_OR_OFF_PATTERN);
schema!(Size, ["integer", "string"], SIZE_PATTERN);
schema!(SizeOrOff, ["integer", "string"], SIZE_OR_OFF_PATTERN);

/// What the text of a quantity must be, by the pattern that it did not match.
pub(super) fn describe(pattern: &str) -> Option<&'static str> {
    match pattern {
        SPAN_PATTERN => Some("a time span such as 500ms, 10s, 5m or 1h"),
        FINE_SPAN_PATTERN => Some(FINE_SPAN),
        SPAN_OR_OFF_PATTERN => Some("a time span such as 500ms, 10s, 5m or 1h, or off"),
        SIZE_PATTERN => Some("a number of bytes such as 4096, 64KiB or 10MiB"),
        SIZE_OR_OFF_PATTERN => Some("a number of bytes such as 4096, 64KiB or 10MiB, or off"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_up_their_units() {
        assert_eq!(parse_span("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_span("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_fine_span("2ms500us"), Some(Duration::from_micros(2500)));
        for wrong in ["", "5", "s", "1x", "7us", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_know_binary_units() {
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("10 MiB"), Some(10 << 20));
        assert_eq!(parse_size("1g"), Some(1 << 30));
        for wrong in ["", "KiB", "1KB", "-1", "99999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
