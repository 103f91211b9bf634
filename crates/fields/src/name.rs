use bytes::Bytes;
use http::header::TE;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::field::Field;
use crate::malformed::Malformed;

/// What a field is called, as far as it decides what is right for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    /// Of an answer.
    Status,
    Header(HeaderName),
    Te,
    ConnectionSpecific,
    /// A pseudo-field that nothing has.
    UnknownPseudo,
    Invalid,
}

impl Name {
    pub fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":status" => Self::Status,
            b"te" => Self::Te,
            b"connection" | b"transfer-encoding" | b"upgrade" | b"keep-alive" | b"proxy-connection" => {
                Self::ConnectionSpecific
            }
            [b':', ..] => Self::UnknownPseudo,
            // The library lets quotes into names, which no token has.
            _ => match HeaderName::from_lowercase(name) {
                Ok(header) if !name.contains(&b'"') => Self::Header(header),
                _ => Self::Invalid,
            },
        }
    }

    /// A field of this name that has this value.
    pub fn with(&self, value: &[u8]) -> Field {
        let (field, otherwise) = match self {
            Self::Method => (method(value), Malformed::Method),
            Self::Scheme => (Scheme::try_from(value).ok().map(Field::Scheme), Malformed::Scheme),
            Self::Authority => {
                let authority = Authority::from_maybe_shared(Bytes::copy_from_slice(value));
                (authority.ok().map(Field::Authority), Malformed::Authority)
            }
            Self::Path => (path(value), Malformed::Path),
            Self::Protocol => {
                let protocol = std::str::from_utf8(value);
                (protocol.ok().map(|protocol| Field::Protocol(protocol.into())), Malformed::Protocol)
            }
            Self::Status => (status(value), Malformed::Status),
            Self::Header(name) => {
                let value = HeaderValue::from_bytes(value);
                (value.ok().map(|value| Field::Header(name.clone(), value)), Malformed::FieldValue)
            }
            Self::Te => {
                let trailers = (value == b"trailers").then(|| Field::Header(TE, HeaderValue::from_static("trailers")));
                (trailers, Malformed::ConnectionSpecific)
            }
            Self::ConnectionSpecific => (None, Malformed::ConnectionSpecific),
            Self::UnknownPseudo => (None, Malformed::UnknownPseudoField),
            Self::Invalid => (None, Malformed::FieldName),
        };
        field.unwrap_or(Field::Malformed(otherwise))
    }
}

fn method(value: &[u8]) -> Option<Field> {
    Method::from_bytes(value).ok().map(Field::Method)
}

/// A fragment is never sent (RFC 9110 section 4.1), and would be cut off unseen.
fn path(value: &[u8]) -> Option<Field> {
    if value.is_empty() || value.contains(&b'#') {
        return None;
    }
    PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(value)).ok().map(Field::Path)
}

/// RFC 9110 section 15.
fn status(value: &[u8]) -> Option<Field> {
    StatusCode::from_bytes(value).ok().map(Field::Status)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 section 5.6.2.
    fn is_token(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
    }

    /// RFC 9110 section 5.5.
    fn is_value(byte: u8) -> bool {
        byte == b'\t' || (byte >= b' ' && byte != 0x7f)
    }

    #[test]
    fn names_values_and_methods_are_what_the_rfc_lets_them_be() {
        for byte in 0..=u8::MAX {
            let is_read = |name: &Name| !matches!(name.with(&[byte]), Field::Malformed(_));
            let is_header = matches!(Name::of(&[byte]), Name::Header(_));
            assert_eq!(is_header, is_token(byte) && !byte.is_ascii_uppercase(), "name {byte:#x}");
            assert_eq!(is_read(&Name::of(b"x")), is_value(byte), "value {byte:#x}");
            assert_eq!(is_read(&Name::Method), is_token(byte), "method {byte:#x}");
        }
        assert_eq!(Name::of(b""), Name::Invalid);
        assert_eq!(Name::Method.with(b""), Field::Malformed(Malformed::Method));
        for status in ["099", "20", "2000", "2x0"] {
            assert_eq!(Name::Status.with(status.as_bytes()), Field::Malformed(Malformed::Status), "{status}");
        }
    }
}
