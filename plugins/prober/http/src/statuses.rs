use std::fmt;
use std::ops::RangeInclusive;

use plimsoll_sdk::{JsonSchema, Schema, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// HTTP statuses, written as a list of single ones (`204` or `"204"`) and ranges (`"200-299"`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " or " };
            match range.start() == range.end() {
                true => write!(f, "{separator}{}", range.start())?,
                false => write!(f, "{separator}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ranges = Vec::<Range>::deserialize(deserializer)?;
        if ranges.is_empty() {
            return Err(de::Error::invalid_length(0, &"at least one status"));
        }
        Ok(Self(ranges.into_iter().map(|range| range.0).collect()))
    }
}

struct Range(RangeInclusive<u16>);

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusOrRange;

        impl Visitor<'_> for StatusOrRange {
            type Value = Range;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status from 100 to 599, or a range such as `200-299`")
            }

            fn visit_u64<E: de::Error>(self, status: u64) -> Result<Range, E> {
                let valid = u16::try_from(status).ok().filter(|status| (100..=599).contains(status));
                let status = valid.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(status), &self))?;
                Ok(Range(status..=status))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Range, E> {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                match (first.trim().parse(), last.trim().parse()) {
                    (Ok(first), Ok(last)) if 100 <= first && first <= last && last <= 599 => Ok(Range(first..=last)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(StatusOrRange)
    }
}

impl JsonSchema for Statuses {
    fn schema() -> Schema {
        json_schema!({
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    { "type": "integer", "minimum": 100, "maximum": 599 },
                    { "type": "string", "pattern": "^[1-5][0-9][0-9]( *- *[1-5][0-9][0-9])?$" }
                ]
            }
        })
    }
}
