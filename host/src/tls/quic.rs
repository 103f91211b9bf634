use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, Endpoint, EndpointConfig, TransportConfig, TransportErrorCode, VarInt};
use rustls::pki_types::ServerName;

use crate::net::QuicSocket;

/// Of one answer, ahead of its client; so much is kept of an answer that its client does not take.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Of all streams of a connection together: no bound beside those of the streams, since otherwise clients that do not read would
/// hold up the others.
const CONNECTION_WINDOW: u32 = u32::MAX;
/// What may be on its way to an endpoint, or wait for it, in bytes.
const SEND_WINDOW: u64 = 2 << 20;
/// Streams that an endpoint has for itself: three (RFC 9114 section 6.2), and those that it tries us with.
const ENDPOINT_STREAMS: u32 = 16;
/// How long nothing comes before a connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(30);
/// How often an endpoint that says nothing is asked whether it is there.
const PROBE: Duration = Duration::from_secs(10);

/// Why there is no connection of QUIC.
#[derive(Debug)]
pub enum NoQuic {
    /// The system has none for us.
    Socket(io::Error),
    /// Nobody is there who speaks HTTP/3, or UDP does not come through: the same endpoint may be there over TCP.
    Unreachable(String),
    /// The endpoint is not who it should be, or takes us for somebody else.
    Tls(String),
}

/// Connects to an endpoint of this name, by QUIC and for HTTP/3.
pub(super) async fn connect(
    address: SocketAddr,
    name: &ServerName<'static>,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<quinn::Connection, NoQuic> {
    let crypto = QuicClientConfig::try_from(tls.clone()).map_err(|error| NoQuic::Tls(error.to_string()))?;
    let mut client = ClientConfig::new(Arc::new(crypto));
    client.transport_config(TRANSPORT.clone());
    let socket = QuicSocket::towards(address).map_err(NoQuic::Socket)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    // It lives as long as its connection.
    let endpoint = Endpoint::new_with_abstract_socket(EndpointConfig::default(), None, socket.clone(), runtime)
        .map_err(NoQuic::Socket)?;
    let connecting = endpoint.connect_with(client, address, &name.to_str());
    let connecting = connecting.map_err(|error| NoQuic::Tls(error.to_string()))?;
    tokio::select! {
        connected = connecting => connected.map_err(|error| why_not(&error)),
        () = socket.refused() => Err(NoQuic::Unreachable("nobody listens there (UDP)".to_owned())),
    }
}

static TRANSPORT: LazyLock<Arc<TransportConfig>> = LazyLock::new(|| {
    let mut transport = TransportConfig::default();
    transport
        // Only clients ask.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(ENDPOINT_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        // Nobody reads them.
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(PROBE))
        .max_idle_timeout(Some(VarInt::from_u32(SILENCE.as_millis() as u32).into()));
    Arc::new(transport)
});

/// The alert of TLS by which a server says that it speaks none of the protocols (RFC 7301 section 3.2).
const NO_PROTOCOL: u64 = 120;

fn why_not(error: &ConnectionError) -> NoQuic {
    // RFC 9001 section 4.8.
    let alert = |code: TransportErrorCode| u64::from(code).checked_sub(0x100).filter(|alert| *alert < 0x100);
    match error {
        ConnectionError::TransportError(error) => match alert(error.code) {
            Some(NO_PROTOCOL) | None => NoQuic::Unreachable(error.to_string()),
            Some(_) => NoQuic::Tls(error.reason.clone()),
        },
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            Some(NO_PROTOCOL) => NoQuic::Unreachable("it does not speak HTTP/3 (ALPN)".to_owned()),
            Some(alert) => NoQuic::Tls(format!("it refuses with the alert {alert}")),
            None => NoQuic::Unreachable(close.to_string()),
        },
        other => NoQuic::Unreachable(other.to_string()),
    }
}
