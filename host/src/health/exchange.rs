//! One request to an endpoint and its answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{PathAndQuery, Scheme, Uri};

use super::http1::{Connection, Keep};
use crate::config::UpstreamProtocol;
use crate::io::Stream;

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

/// Sends a request over a new connection to `stream`'s other end, which is `address`; one of HTTP/1.1 may be kept. The error says
/// what failed.
pub(super) async fn exchange(
    stream: Stream,
    address: SocketAddr,
    protocol: UpstreamProtocol,
    request: Request,
    keep: &Keep,
) -> Result<Answer, String> {
    match protocol {
        UpstreamProtocol::Http2 | UpstreamProtocol::Http3 if stream.is_encrypted() && !stream.speaks_http2() => {
            Err("it does not speak HTTP/2 (ALPN)".to_owned())
        }
        UpstreamProtocol::Http2 | UpstreamProtocol::Http3 => over_http2(stream, address, request).await,
        UpstreamProtocol::Auto if stream.speaks_http2() => over_http2(stream, address, request).await,
        UpstreamProtocol::Auto | UpstreamProtocol::Http1 => {
            Connection::over(stream).await?.exchange(address, &request, keep).await
        }
    }
}

/// In the clear with prior knowledge (RFC 9113 section 3.3).
async fn over_http2(stream: Stream, address: SocketAddr, request: Request) -> Result<Answer, String> {
    let scheme = if stream.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP };
    let head = request.head_of_http2(address, scheme)?;
    let mut builder = h2::client::Builder::new();
    // The window of the connection is no bound beside that of its one stream.
    builder
        .enable_push(false)
        .initial_window_size(BODY_BYTES as u32)
        .initial_connection_window_size(2 * BODY_BYTES as u32)
        .max_header_list_size(HEAD_BYTES);
    let failed = |doing: &'static str| move |error: h2::Error| failed(doing, &error);
    let (sender, connection) = builder.handshake(stream).await.map_err(failed("speaking HTTP/2"))?;
    let driver = AbortOnDrop(tokio::spawn(async move {
        // Its errors reach the request.
        let _ = connection.await;
    }));
    let mut sender = sender.ready().await.map_err(failed("speaking HTTP/2"))?;
    let (response, mut upload) = sender.send_request(head, request.body.is_empty()).map_err(failed("the exchange"))?;
    if !request.body.is_empty() {
        upload.send_data(request.body, true).map_err(failed("the exchange"))?;
    }
    let (head, mut body) = response.await.map_err(failed("the exchange"))?.into_parts();
    let mut bytes = Vec::new();
    // More than the window does not come, so that there is nothing to give back.
    let mut trailers = None;
    while bytes.len() < BODY_BYTES {
        let Some(data) = body.data().await else {
            trailers = body.trailers().await.map_err(failed("reading the answer"))?;
            break;
        };
        bytes.extend_from_slice(&data.map_err(failed("reading the answer"))?);
    }
    drop(driver);
    Ok(Answer::new(&head, bytes, &trailers.unwrap_or_default()))
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

fn failed(doing: &str, error: &dyn std::error::Error) -> String {
    format!("{doing} failed: {error}")
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
