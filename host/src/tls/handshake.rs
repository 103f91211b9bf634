use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
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
        Self {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            application_protocol: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            certificate_ends: leaf.and_then(ends),
        }
    }

    /// Of a connection of HTTP/3.
    pub fn of_quic(quic: &quinn::Connection) -> Self {
        let chain: Option<Box<Vec<CertificateDer<'static>>>> =
            quic.peer_identity().and_then(|chain| chain.downcast().ok());
        Self {
            version: "TLSv1.3",
            application_protocol: Some("h3".to_owned()),
            certificate_ends: chain.and_then(|chain| ends(chain.first()?)),
        }
    }
}

/// When a certificate ends to be valid.
fn ends(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, read) = X509Certificate::from_der(certificate).ok()?;
    Some(read.validity().not_after.timestamp())
}
