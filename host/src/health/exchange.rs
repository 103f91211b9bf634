//! One request to an endpoint and its answer, by the protocol that both speak.

use std::net::SocketAddr;

use super::http1::{Connection, Keep};
use super::http2::over_http2;
use super::message::{Answer, Request};
use crate::config::UpstreamProtocol;
use crate::io::Stream;

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
