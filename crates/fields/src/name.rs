use http::uri::{Authority, PathAndQuery, Scheme};

use crate::malformed::Malformed;

/// What a field is called, as far as it decides what is right for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    /// Of an answer.
    Status,
    Field,
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
            [] => Self::Invalid,
            _ if name.iter().all(|byte| is_token(*byte) && !byte.is_ascii_uppercase()) => Self::Field,
            _ => Self::Invalid,
        }
    }

    pub fn is_pseudo(self) -> bool {
        matches!(
            self,
            Self::Method
                | Self::Scheme
                | Self::Authority
                | Self::Path
                | Self::Protocol
                | Self::Status
                | Self::UnknownPseudo
        )
    }

    /// What is wrong with a field of this name that has this value.
    pub fn judge(self, value: &[u8]) -> Option<Malformed> {
        let (is_right, otherwise) = match self {
            Self::Method => (!value.is_empty() && value.iter().all(|byte| is_token(*byte)), Malformed::Method),
            Self::Scheme => (Scheme::try_from(value).is_ok(), Malformed::Scheme),
            Self::Authority => (Authority::try_from(value).is_ok(), Malformed::Authority),
            Self::Path => (is_path(value), Malformed::Path),
            Self::Protocol => (std::str::from_utf8(value).is_ok(), Malformed::Protocol),
            Self::Status => (is_status(value), Malformed::Status),
            Self::Field => (value.iter().all(|byte| is_value(*byte)), Malformed::FieldValue),
            Self::Te => (value == b"trailers", Malformed::ConnectionSpecific),
            Self::ConnectionSpecific => (false, Malformed::ConnectionSpecific),
            Self::UnknownPseudo => (false, Malformed::UnknownPseudoField),
            Self::Invalid => (false, Malformed::FieldName),
        };
        (!is_right).then_some(otherwise)
    }

    /// Whether `h2` takes a field of this name with this value for one. Where it does not, it ends the connection.
    pub fn is_readable(self, value: &[u8]) -> bool {
        match self {
            Self::Method => self.judge(value).is_none(),
            Self::Scheme | Self::Authority | Self::Path | Self::Protocol => std::str::from_utf8(value).is_ok(),
            Self::Field | Self::Te | Self::ConnectionSpecific => value.iter().all(|byte| is_value(*byte)),
            Self::Status | Self::UnknownPseudo | Self::Invalid => false,
        }
    }
}

/// A fragment is never sent (RFC 9110 section 4.1), and would be cut off unseen.
fn is_path(value: &[u8]) -> bool {
    !value.is_empty() && !value.contains(&b'#') && PathAndQuery::try_from(value).is_ok()
}

/// RFC 9110 section 15.
fn is_status(value: &[u8]) -> bool {
    matches!(value, [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'])
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 section 5.5.
fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;

    #[test]
    fn bytes_are_judged_as_the_library_judges_them() {
        for byte in 0..=u8::MAX {
            let one = [byte];
            if byte != b':' {
                // The library lets quotes into names, which no token has.
                let is_name = HeaderName::from_lowercase(&one).is_ok() && byte != b'"';
                assert_eq!(Name::of(&one) == Name::Field, is_name, "name {byte:#x}");
            }
            assert_eq!(Name::Field.judge(&one).is_none(), HeaderValue::from_bytes(&one).is_ok(), "value {byte:#x}");
            assert_eq!(Name::Method.judge(&one).is_none(), Method::from_bytes(&one).is_ok(), "method {byte:#x}");
        }
    }
}
