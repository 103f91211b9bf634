use std::fmt;

use plimsoll_sdk::{JsonSchema, Schema, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Bytes, written as text in which `\xNN` is one byte, and `\r`, `\n`, `\t`, `\0` and `\\` mean what they do in C.
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
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r"text with no other escapes than `\xNN`, `\r`, `\n`, `\t`, `\0` and `\\`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                Bytes::from_text(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Bytes {
    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": r"^([^\\]|\\(x[0-9a-fA-F]{2}|[rnt0\\]))*$" })
    }
}
