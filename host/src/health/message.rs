use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{PathAndQuery, Scheme, Uri};
use plimsoll_fields::{Fields, ResponseHead};

/// The most of an answer's body that a prober sees.
pub(super) const PROBE_BODY_BYTES: usize = 64 * 1024;
/// As HPACK counts the fields of an answer (RFC 7541 section 4.1).
pub(super) const HEAD_BYTES: u32 = 64 * 1024;

/// What a plugin wants sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Bytes,
    /// The most that is read of the answer's body.
    pub most: usize,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its first bytes, or all.
    pub body: Vec<u8>,
    pub is_whole: bool,
    /// Fields behind the body, where it was read whole.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Request {
    pub(super) fn head(&self, target: &str, takes: impl Fn(&HeaderName) -> bool) -> Result<http::Request<()>, String> {
        let invalid = |error: &dyn std::error::Error| format!("the plugin's request is not valid: {error}");
        let head = http::Request::builder().method(self.method.as_str()).uri(target).body(());
        let mut head = head.map_err(|error| invalid(&error))?;
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| invalid(&error))?;
            let value = HeaderValue::try_from(value.as_slice()).map_err(|error| invalid(&error))?;
            if takes(&name) {
                head.headers_mut().append(name, value);
            }
        }
        Ok(head)
    }

    /// With what a field `host` says as its authority, and without fields about the connection (RFC 9113 section 8.2.2).
    pub(super) fn head_of_http2(&self, address: SocketAddr, scheme: Scheme) -> Result<http::Request<()>, String> {
        let invalid = |error: http::Error| format!("the plugin's request is not valid: {error}");
        let host = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let authority = match host {
            Some((_, value)) => value.clone(),
            None => address.to_string().into_bytes(),
        };
        let path = PathAndQuery::try_from(self.path.as_str()).map_err(|error| invalid(error.into()))?;
        let uri = Uri::builder().scheme(scheme).authority(authority.as_slice()).path_and_query(path).build();
        let uri = uri.map_err(invalid)?;
        let of_connection = [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE];
        let mut head = self.head(&uri.to_string(), |name| {
            !of_connection.contains(name) && !["keep-alive", "proxy-connection"].contains(&name.as_str())
        })?;
        if head.headers().get(TE).is_some_and(|value| value != "trailers") {
            head.headers_mut().remove(TE);
        }
        Ok(head)
    }
}

impl Answer {
    /// Of the body, `most` is told. No trailers: it was not read to its end.
    pub(super) fn new(head: &ResponseHead, (mut body, most): (Vec<u8>, usize), trailers: Option<&Fields>) -> Self {
        let is_whole = trailers.is_some() && body.len() <= most;
        body.truncate(most);
        let fields = |fields: &Fields| {
            fields.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
        };
        let trailers = trailers.map(fields).unwrap_or_default();
        Self { status: head.status.as_u16(), headers: fields(&head.headers), body, is_whole, trailers }
    }
}
