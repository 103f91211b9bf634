use http::HeaderValue;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use plimsoll_fields::Fields;

use crate::error::Error;
use crate::name::field_name;

/// Bounds of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    pub bytes: usize,
    pub fields: usize,
}

/// Reads the fields of a head, with what they say of the message's length and of the connection.
pub(crate) struct FieldReader {
    pub(crate) headers: Fields,
    pub(crate) length: Option<u64>,
    pub(crate) coding: Option<Coding>,
    /// What `Connection` says (RFC 9112 section 9.3), if anything.
    pub(crate) keeps: Option<bool>,
}

/// What `Transfer-Encoding` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Chunked,
    /// Others, and `chunked` last: where the body ends is known, but not what it says.
    Others,
    /// Others, which leave open where the body ends.
    Endless,
}

impl Coding {
    /// What one more field says behind those before it.
    fn after(before: Option<Self>, value: &[u8]) -> Self {
        let mut codings = value.split(|byte| *byte == b',').map(trim);
        let last_is_chunked = codings.next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        match (last_is_chunked, before.is_none() && codings.next().is_none()) {
            (true, true) => Self::Chunked,
            (true, false) => Self::Others,
            (false, _) => Self::Endless,
        }
    }
}

impl FieldReader {
    pub(crate) fn with_capacity(fields: usize) -> Self {
        Self { headers: Fields::with_capacity(fields), length: None, coding: None, keeps: None }
    }

    /// Adds one field as it was received; `Connection` only where it says more than `keeps` does.
    pub(crate) fn add(&mut self, name: &str, value: HeaderValue) -> Result<(), Error> {
        let name = field_name(name)?;
        if name == CONTENT_LENGTH {
            let announced = parse_length(value.as_bytes()).ok_or(Error::Malformed("content-length"))?;
            match self.length.replace(announced) {
                None => {}
                // RFC 9112 section 6.3: the same once more is forgiven.
                Some(before) if before == announced => return Ok(()),
                Some(_) => return Err(Error::Malformed("content-length twice")),
            }
        } else if name == TRANSFER_ENCODING {
            self.coding = Some(Coding::after(self.coding, value.as_bytes()));
        } else if name == CONNECTION && self.read_connection(value.as_bytes()) {
            return Ok(());
        }
        self.headers.append(name, value);
        Ok(())
    }

    /// RFC 9112 section 9.3: `close` ends a connection of any version, `keep-alive` keeps one of HTTP/1.0. True when the field says
    /// nothing else.
    fn read_connection(&mut self, value: &[u8]) -> bool {
        let mut is_all = true;
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.keeps = Some(false);
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps.get_or_insert(true);
            } else {
                is_all = false;
            }
        }
        is_all
    }
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Decimal digits only: a sign, spaces or a list could be read otherwise by the next in line.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0_u64, |length, digit| length.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}
