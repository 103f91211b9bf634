use http::{Method, Request, StatusCode, Uri, Version, request, response};

use crate::fields::Fields;
use crate::reason::ReasonPhrase;

/// The head of a request.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: Fields,
    /// What an extended CONNECT asks for (RFC 8441, RFC 9220).
    pub protocol: Option<Box<str>>,
}

/// The head of an answer, or of one in advance.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub version: Version,
    pub headers: Fields,
    /// Of HTTP/1.1, where it is not the usual one of its status.
    pub reason: Option<ReasonPhrase>,
}

impl ResponseHead {
    /// Without fields.
    pub fn of(status: StatusCode) -> Self {
        Self { status, ..Self::default() }
    }
}

impl From<Request<()>> for RequestHead {
    fn from(request: Request<()>) -> Self {
        let (request::Parts { method, uri, version, headers, .. }, ()) = request.into_parts();
        Self { method, uri, version, headers: headers.into(), protocol: None }
    }
}

impl From<response::Parts> for ResponseHead {
    fn from(parts: response::Parts) -> Self {
        let response::Parts { status, version, headers, .. } = parts;
        Self { status, version, headers: headers.into(), reason: None }
    }
}
