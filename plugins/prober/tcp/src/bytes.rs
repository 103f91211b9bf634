use std::fmt;

use plimsoll_sdk::{JsonSchema, Schema, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// Bytes: text in which `\xNN` is one byte, and `\r`, `\n`, `\t`, `\0` and `\\` mean what they do in C; or `hex`, two
/// digits a byte, with spaces where they please.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// None when an escape is not one of those above.
    fn from_text(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'\\' => match rest.next()? {
                    b'x' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    b'\\' => b'\\',
                    _ => return None,
                },
                plain => plain,
            });
        }
        Some(Self(bytes))
    }

    /// None when it is not pairs of digits.
    fn from_hex(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').map(hex).collect::<Option<_>>()?;
        let pairs = digits.chunks_exact(2);
        pairs.remainder().is_empty().then(|| Self(pairs.map(|pair| pair[0] << 4 | pair[1]).collect()))
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrHex;

        impl<'de> Visitor<'de> for TextOrHex {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    r"text with no other escapes than `\xNN`, `\r`, `\n`, `\t`, `\0` and `\\`, or `hex` with two digits a byte",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                Bytes::from_text(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bytes, A::Error> {
                let (Some((key, text)), None) = (map.next_entry::<String, String>()?, map.next_key::<String>()?) else {
                    return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
                };
                let bytes = if key == "hex" { Bytes::from_hex(&text) } else { None };
                bytes.ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &self))
            }
        }

        deserializer.deserialize_any(TextOrHex)
    }
}

impl JsonSchema for Bytes {
    fn schema() -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": r"^([^\\]|\\(x[0-9a-fA-F]{2}|[rnt0\\]))*$" },
                {
                    "type": "object",
                    "properties": { "hex": { "type": "string", "pattern": "^ *([0-9a-fA-F] *[0-9a-fA-F] *)*$" } },
                    "required": ["hex"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
