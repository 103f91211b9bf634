use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::malformed::Malformed;

/// A field, read once: what a dynamic table has of it needs not be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    Method(Method),
    Scheme(Scheme),
    Authority(Authority),
    Path(PathAndQuery),
    /// What an extended CONNECT asks for (RFC 8441).
    Protocol(Box<str>),
    /// Of an answer.
    Status(StatusCode),
    Header(HeaderName, HeaderValue),
    /// No message with it is right.
    Malformed(Malformed),
}

impl Field {
    /// The same, of a sender who wants nobody to keep it in a table (RFC 7541 section 6.2.3, RFC 9204 section 7.1.3).
    pub fn never_indexed(mut self) -> Self {
        if let Self::Header(_, value) = &mut self {
            value.set_sensitive(true);
        }
        self
    }
}
