use std::fmt::{self, Display, Write as _};

use serde::de::{self, Expected, Unexpected};

use super::{push_decimal, push_signed, quote};

/// What is wrong with a value. Where it is, [`super::Reader::path`] knows.
#[derive(Debug)]
pub(crate) struct Error(
    #[expect(clippy::box_collection, reason = "every reader passes it on: one word takes less code than three")]
    Box<String>,
);

impl Error {
    pub(crate) fn new(message: &str) -> Self {
        Self(Box::new(message.to_owned()))
    }

    fn invalid(what: &str, unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let mut message = format!("invalid {what}: ");
        describe(&mut message, unexpected);
        // Writing to a string cannot fail.
        let _ = write!(message, ", expected {expected}");
        Self(Box::new(message))
    }
}

/// As serde says it, but null is no unit, and floats are not written out: that would take more code than all of this.
fn describe(out: &mut String, unexpected: Unexpected<'_>) {
    let (what, quoted) = match unexpected {
        Unexpected::Bool(_) => ("boolean ", true),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => ("integer ", true),
        Unexpected::Char(_) => ("character ", true),
        Unexpected::Str(_) => ("string ", false),
        Unexpected::Float(_) => ("floating point number", false),
        Unexpected::Bytes(_) => ("byte array", false),
        Unexpected::Unit => ("null", false),
        Unexpected::Seq => ("sequence", false),
        Unexpected::Map => ("map", false),
        Unexpected::UnitVariant => ("unit variant", false),
        Unexpected::Other(text) => (text, false),
        _ => ("value", false),
    };
    let mark = if quoted { "`" } else { "" };
    out.push_str(what);
    out.push_str(mark);
    match unexpected {
        Unexpected::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Unexpected::Unsigned(value) => push_decimal(out, value),
        Unexpected::Signed(value) => push_signed(out, value),
        Unexpected::Char(value) => out.push(value),
        Unexpected::Str(text) => quote(out, text),
        _ => {}
    }
    out.push_str(mark);
}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self(Box::new(message.to_string()))
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
