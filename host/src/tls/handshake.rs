use rustls::ProtocolVersion;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What came of a handshake with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// By ALPN.
    pub application_protocol: Option<String>,
    /// When the endpoint's certificate ends to be valid, in seconds since 1970.
    pub certificate_ends: Option<i64>,
}

impl Handshake {
    pub fn of(stream: &TlsStream<TcpStream>) -> Self {
        let session = stream.get_ref().1;
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        let read = leaf.and_then(|leaf| X509Certificate::from_der(leaf).ok());
        Self {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            application_protocol: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            certificate_ends: read.map(|(_, read)| read.validity().not_after.timestamp()),
        }
    }
}
