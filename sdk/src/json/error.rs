use std::fmt::{self, Display, Write as _};

use serde::de::{self, Expected, Unexpected};

use super::quote;

/// What is wrong with a value. Where it is, [`super::Reader::path`] knows.
#[derive(Debug)]
pub(crate) struct Error(String);

impl Error {
    pub(crate) fn new(message: &str) -> Self {
        Self(message.to_owned())
    }

    fn invalid(what: &str, unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let mut message = format!("invalid {what}: ");
        describe(&mut message, unexpected);
        // Writing to a string cannot fail.
        let _ = write!(message, ", expected {expected}");
        Self(message)
    }
}

/// As serde says it, but null is no unit, and floats are not written out: that would take more code than all of this.
fn describe(out: &mut String, unexpected: Unexpected<'_>) {
    // Writing to a string cannot fail.
    let _ = match unexpected {
        Unexpected::Bool(value) => write!(out, "boolean `{value}`"),
        Unexpected::Unsigned(value) => write!(out, "integer `{value}`"),
        Unexpected::Signed(value) => write!(out, "integer `{value}`"),
        Unexpected::Char(value) => write!(out, "character `{value}`"),
        Unexpected::Str(text) => {
            out.push_str("string ");
            quote(out, text);
            Ok(())
        }
        other => {
            out.push_str(match other {
                Unexpected::Float(_) => "floating point number",
                Unexpected::Bytes(_) => "byte array",
                Unexpected::Unit => "null",
                Unexpected::Seq => "sequence",
                Unexpected::Map => "map",
                Unexpected::UnitVariant => "unit variant",
                Unexpected::Other(text) => text,
                _ => "value",
            });
            Ok(())
        }
    };
}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid("type", unexpected, expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid("value", unexpected, expected)
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
