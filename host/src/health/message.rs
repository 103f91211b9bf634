use std::net::SocketAddr;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{PathAndQuery, Scheme, Uri};

/// The most of an answer's body that a prober sees.
pub(super) const BODY_BYTES: usize = 64 * 1024;
/// As HPACK counts the fields of an answer (RFC 7541 section 4.1).
pub(super) const HEAD_BYTES: u32 = 64 * 1024;

/// What a prober wants sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// Its first bytes.
    pub(super) body: Vec<u8>,
    /// Fields behind the body, where it was read whole.
    pub(super) trailers: Vec<(String, Vec<u8>)>,
}

impl Request {
    pub(super) fn head(&self, target: &str, takes: impl Fn(&HeaderName) -> bool) -> Result<http::Request<()>, String> {
        let invalid = |error: &dyn std::error::Error| format!("the prober's request is not valid: {error}");
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
        let invalid = |error: http::Error| format!("the prober's request is not valid: {error}");
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
    pub(super) fn new(head: &http::response::Parts, mut body: Vec<u8>, trailers: &HeaderMap) -> Self {
        body.truncate(BODY_BYTES);
        let fields = |fields: &HeaderMap| {
            fields.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
        };
        Self { status: head.status.as_u16(), headers: fields(&head.headers), body, trailers: fields(trailers) }
    }
}
