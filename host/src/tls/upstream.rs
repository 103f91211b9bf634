use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, HandshakeKind, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::Certificate;
use super::quic::{self, NoQuic};
use super::revoked::lists_in;
use super::roots::{SystemRoots, roots_in};
use super::server::versions;
use crate::config::{self, UpstreamProtocol};

/// How TLS is spoken to the endpoints of a cluster.
#[derive(Clone, Debug)]
pub struct UpstreamTls(Arc<Terms>);

#[derive(Debug)]
struct Terms {
    config: config::UpstreamTls,
    /// The system's, where these count.
    system: Option<Arc<RootCertStore>>,
    client: ClientConfig,
}

/// Whether connections that are kept under the one can be kept under the other.
impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (&*self.0, &*other.0);
        let trusts_the_same = || {
            let (ours, theirs) = (ours.system.as_ref(), theirs.system.as_ref());
            ours.map(|roots| &roots.roots) == theirs.map(|roots| &roots.roots)
        };
        std::ptr::eq(ours, theirs) || (ours.config == theirs.config && trusts_the_same())
    }
}

impl UpstreamTls {
    /// Fails with what is wrong, and with the key of the configuration that says it.
    pub fn new(tls: &config::UpstreamTls, system: &mut SystemRoots) -> Result<Self, (&'static str, String)> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions(tls.policy))
            .map_err(|error| ("policy", error.to_string()))?;
        let (builder, system) = match (&tls.ca, tls.verifies) {
            (_, false) => {
                let unverified = Arc::new(Unverified(provider.clone()));
                (builder.dangerous().with_custom_certificate_verifier(unverified), None)
            }
            (Some(pem), true) => {
                let roots = roots_in(pem).map_err(|message| ("ca_file", message))?;
                (builder.with_webpki_verifier(verifier(roots, tls.crl.as_deref(), &provider)?), None)
            }
            (None, true) => {
                let roots = system.read().map_err(|message| ("", message))?;
                (builder.with_webpki_verifier(verifier(roots.clone(), tls.crl.as_deref(), &provider)?), Some(roots))
            }
        };
        let client = client(builder, tls.certificate.as_ref()).map_err(|message| ("cert_file", message))?;
        Ok(Self(Arc::new(Terms { config: tls.clone(), system, client })))
    }

    /// Whether certificates are verified.
    pub fn verifies(&self) -> bool {
        self.0.config.verifies
    }

    /// For one endpoint, whose sessions it keeps to resume. `host` is the name or address that the configuration has for it.
    pub fn towards(&self, host: &str, protocol: UpstreamProtocol) -> EndpointTls {
        let name = self.0.config.server_name.as_deref().unwrap_or(host).to_owned();
        let mut bytes = self.0.client.clone();
        // Of one server; those of others would not be taken by it.
        bytes.resumption = Resumption::in_memory_sessions(SESSIONS);
        let mut http = bytes.clone();
        let protocols: &[&[u8]] = match protocol {
            UpstreamProtocol::Auto => &[b"h2", b"http/1.1"],
            UpstreamProtocol::Http1 => &[b"http/1.1"],
            // What stands in for HTTP/3 over TCP.
            UpstreamProtocol::Http2 | UpstreamProtocol::Http3 => &[b"h2"],
        };
        http.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let mut http1 = bytes.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http3 = bytes.clone();
        http3.alpn_protocols = vec![b"h3".to_vec()];
        let no_name = |_| format!("`{name}` cannot be the name on a certificate; `server_name` can give another");
        let name = ServerName::try_from(name.clone()).map_err(no_name);
        let (http, http1, http3, bytes) = (Arc::new(http), Arc::new(http1), Arc::new(http3), Arc::new(bytes));
        EndpointTls { name, http, http1, http3, bytes }
    }
}

/// Tickets of a server that are kept at a time.
const SESSIONS: usize = 8;

/// Verifies endpoints. Fails with what is wrong, and with the key of the configuration that says it.
fn verifier(
    roots: Arc<RootCertStore>,
    crl: Option<&str>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, (&'static str, String)> {
    let mut builder = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
    if let Some(pem) = crl {
        let lists = lists_in(pem).map_err(|message| ("crl_file", message))?;
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    let at = if crl.is_some() { "crl_file" } else { "ca_file" };
    builder.build().map_err(|error| (at, error.to_string()))
}

fn client(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    certificate: Option<&config::KeyPair>,
) -> Result<ClientConfig, String> {
    Ok(match certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let pair = Certificate::from_pem(certificate.chain.as_bytes(), certificate.key.as_bytes(), None)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from((*pair.key).clone())))
        }
    })
}

/// TLS with one endpoint.
#[derive(Debug)]
pub struct EndpointTls {
    /// What is asked for (SNI) and has to be on the certificate; or why it cannot be.
    name: Result<ServerName<'static>, String>,
    /// Offers the protocols of HTTP (ALPN).
    http: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone.
    http1: Arc<ClientConfig>,
    /// Offers HTTP/3, over QUIC.
    http3: Arc<ClientConfig>,
    /// Offers none, for bytes that are of somebody else's protocol.
    bytes: Arc<ClientConfig>,
}

/// What is to go over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    Http,
    /// HTTP/1.1, whatever else there is.
    Http1,
    Bytes,
}

impl EndpointTls {
    /// The same, but each handshake is a whole one, which shows the certificate as it is by now.
    pub fn without_resumption(mut self) -> Self {
        for config in [&mut self.http, &mut self.http1, &mut self.http3, &mut self.bytes] {
            Arc::make_mut(config).resumption = Resumption::disabled();
        }
        self
    }

    /// The same, but these protocols are offered (ALPN), whatever is carried.
    pub fn offering(mut self, protocols: &[String]) -> Self {
        let offered: Vec<Vec<u8>> = protocols.iter().map(|protocol| protocol.clone().into_bytes()).collect();
        for config in [&mut self.http, &mut self.bytes] {
            Arc::make_mut(config).alpn_protocols.clone_from(&offered);
        }
        self
    }

    /// Connects by QUIC, which has TLS within it.
    pub async fn connect_quic(&self, address: SocketAddr) -> Result<quinn::Connection, NoQuic> {
        let name = self.name.as_ref().map_err(|wrong| NoQuic::Tls(wrong.clone()))?;
        quic::connect(address, name, &self.http3).await
    }

    /// Makes a connection one of TLS. The error is a text that says what was wrong.
    pub async fn shake_hands(&self, stream: TcpStream, carries: Carries) -> Result<TlsStream<TcpStream>, String> {
        let config = match carries {
            Carries::Http => &self.http,
            Carries::Http1 => &self.http1,
            Carries::Bytes => &self.bytes,
        };
        let connecting = TlsConnector::from(config.clone()).connect(self.name.clone()?, stream);
        connecting.await.map_err(|error| cause(&error))
    }
}

/// Whether an earlier session went on.
pub fn is_resumed(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

fn cause(error: &io::Error) -> String {
    use rustls::CertificateError as Wrong;
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of_tls {
        Some(Error::InvalidCertificate(wrong)) => match wrong {
            Wrong::UnknownIssuer => {
                "no trusted root leads to its certificate: its issuer is unknown, or does not send the \
                                     certificates in between"
                    .to_owned()
            }
            Wrong::Revoked => "its certificate was revoked by its issuer".to_owned(),
            Wrong::UnknownRevocationStatus => {
                "nothing in `crl_file` says whether its certificate was revoked: there has to be a list of every CA that it \
                 leads to"
                    .to_owned()
            }
            Wrong::ExpiredRevocationList | Wrong::ExpiredRevocationListContext { .. } => {
                "the list of revoked certificates (`crl_file`) is out of date: it takes a new one, and a reload".to_owned()
            }
            Wrong::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                "its certificate is that of a CA, as `openssl req -x509` makes them, and none for a server".to_owned()
            }
            wrong => wrong.to_string(),
        },
        Some(Error::AlertReceived(alert)) => format!("it refuses with the alert {alert:?}"),
        Some(error) => error.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        None => error.to_string(),
    }
}

/// Takes any certificate. That its owner has the key is still verified, so that at least a session is with one other side.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
