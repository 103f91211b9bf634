use std::fmt;
use std::sync::Arc;

use quinn::crypto::HmacKey;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificates::Certificates;
use super::revoked::lists_in;
use super::roots::roots_in;
use super::tickets::Tickets;
use crate::config::{self, TlsPolicy};
use crate::telemetry::ConnectionTraces;

/// How a listener speaks TLS.
#[derive(Clone)]
pub struct ServerTls {
    pub config: Arc<ServerConfig>,
    /// Those that it has now.
    pub certificates: Arc<Certificates>,
    /// The same for QUIC, where the listener speaks HTTP/3.
    pub quic: Option<QuicTls>,
}

/// What QUIC needs of it.
#[derive(Clone)]
pub struct QuicTls {
    pub crypto: Arc<QuicServerConfig>,
    /// Makes what a client is told whose connection nobody knows any more (RFC 9000 section 10.3).
    pub reset_key: Arc<dyn HmacKey>,
    /// Where connections are written down, if they are.
    pub traces: Option<Arc<ConnectionTraces>>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, certificates, quic } = self;
        let mut debug = f.debug_struct("ServerTls");
        debug.field("config", config).field("certificates", certificates).field("quic", quic).finish()
    }
}

impl fmt::Debug for QuicTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicTls").finish_non_exhaustive()
    }
}

impl ServerTls {
    /// With no certificates yet. Fails with what is wrong, and with where (JSON Pointer).
    pub fn new(tls: &config::Tls, listener: &config::Listener, tickets: &Tickets) -> Result<Self, (String, String)> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Arc::new(Certificates::default());
        let wanted = tls.client_certificates.as_ref();
        let verifier = match wanted {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(wanted) => verifier(wanted, &provider)
                .map_err(|(key, message)| (format!("{}/client_certificates/{key}", tls.pointer), message))?,
        };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(tls.policy))
            .map_err(|error| (tls.pointer.clone(), error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(certificates.clone());
        // RFC 7301: HTTP/2 where the client can. What goes through a TCP listener is not ours to say.
        if listener.protocol == config::Protocol::Http {
            server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        // Sessions are kept by their clients.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        if tls.early_data {
            take_early_data(&mut server);
        } else if wanted.is_some() {
            // Whoever resumes is not verified again, whatever has been revoked since, and by whomever the ticket was given.
            server.send_tls13_tickets = 0;
        } else {
            server.ticketer = tickets.producer();
        }
        let crypto = listener.http3.as_ref().map(|_| quic(&server)).transpose();
        let crypto = crypto.map_err(|message| (tls.pointer.clone(), message))?;
        let traces = listener.http3.as_ref().and_then(|http3| http3.qlog.as_ref()).map(traces).transpose()?;
        let quic = crypto.map(|crypto| QuicTls { crypto, reset_key: tickets.reset_key(), traces });
        Ok(Self { config: Arc::new(server), certificates, quic })
    }
}

/// Fails as [`ServerTls::new`] does.
fn traces(qlog: &config::Qlog) -> Result<Arc<ConnectionTraces>, (String, String)> {
    let opened = ConnectionTraces::open(&qlog.directory, qlog.files, qlog.bytes);
    opened.map(Arc::new).map_err(|error| {
        let message = format!("files cannot be made in `{}`: {error}", qlog.directory.display());
        (format!("{}/directory", qlog.pointer), message)
    })
}

/// Sessions of which requests are taken before the handshake is over.
const EARLY_SESSIONS: usize = 8192;
/// What may come of a client over TCP before that, in bytes: as with OpenSSL and nginx.
const EARLY_BYTES: u32 = 16 * 1024;

/// Takes what comes before the handshake is over (0-RTT), and answers it then: it could have been sent before by somebody else. So that
/// nobody can do so twice, each session goes on once, by a table of this process in the place of tickets (RFC 8446 section 8.1).
fn take_early_data(server: &mut ServerConfig) {
    server.max_early_data_size = EARLY_BYTES;
    server.send_half_rtt_data = true;
    server.session_storage = ServerSessionMemoryCache::new(EARLY_SESSIONS);
    server.ticketer = Arc::new(NoTickets);
}

/// The same for HTTP/3 (RFC 9001, RFC 9114 section 3.1), whose handshake is that of TLS 1.3. How much may come before its end is said by
/// the windows of QUIC.
fn quic(server: &ServerConfig) -> Result<Arc<QuicServerConfig>, String> {
    let mut server = server.clone();
    server.alpn_protocols = vec![b"h3".to_vec()];
    if server.max_early_data_size > 0 {
        server.max_early_data_size = u32::MAX;
    }
    QuicServerConfig::try_from(server).map(Arc::new).map_err(|error| error.to_string())
}

/// Sessions are in a table.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _session: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _ticket: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Verifies clients. Fails with what is wrong, and with the key of the configuration that says it.
fn verifier(
    wanted: &config::ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, (&'static str, String)> {
    let roots = roots_in(&wanted.ca).map_err(|message| ("ca_file", message))?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    if let Some(pem) = &wanted.crl {
        let lists = lists_in(pem).map_err(|message| ("crl_file", message))?;
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if !wanted.required {
        builder = builder.allow_unauthenticated();
    }
    let at = if wanted.crl.is_some() { "crl_file" } else { "ca_file" };
    builder.build().map_err(|error| (at, error.to_string()))
}

static MODERN: [&SupportedProtocolVersion; 1] = [&TLS13];
static INTERMEDIATE: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

pub(super) fn versions(policy: TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    match policy {
        TlsPolicy::Modern => &MODERN,
        TlsPolicy::Intermediate => &INTERMEDIATE,
    }
}
