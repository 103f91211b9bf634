use std::fmt;

use plimsoll_sdk::{JsonSchema, Schema, json_schema};
use regex_lite::{Regex, RegexBuilder};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Keeps an expression small enough for the time that a prober has at a time.
const REGEX_BYTES: usize = 16 * 1024;

/// A regular expression from a configuration, with the syntax of Rust's `regex` without classes of Unicode.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it is found in what a peer said; what is no UTF-8 is replaced before.
    pub fn is_found_in(&self, said: &[u8]) -> bool {
        self.0.is_match(&String::from_utf8_lossy(said))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Expression;

        impl Visitor<'_> for Expression {
            type Value = Pattern;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a regular expression")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pattern, E> {
                let built = RegexBuilder::new(text).size_limit(REGEX_BYTES).build();
                built.map(Pattern).map_err(|error| E::custom(error))
            }
        }

        deserializer.deserialize_str(Expression)
    }
}

impl JsonSchema for Pattern {
    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "regex" })
    }
}
