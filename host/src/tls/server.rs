use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificates::Certificates;
use super::tickets::Tickets;
use crate::config::{self, TlsPolicy};

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub config: Arc<ServerConfig>,
    /// Those that it has now.
    pub certificates: Arc<Certificates>,
}

impl ServerTls {
    /// With no certificates yet. Fails with what is wrong, and with where (JSON Pointer).
    pub fn new(tls: &config::Tls, tickets: &Tickets) -> Result<Self, (String, String)> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Arc::new(Certificates::default());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(tls.policy))
            .map_err(|error| (tls.pointer.clone(), error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        // RFC 7301: HTTP/2 where the client can.
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions are kept by their clients.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.ticketer = tickets.producer();
        Ok(Self { config: Arc::new(server), certificates })
    }
}

static MODERN: [&SupportedProtocolVersion; 1] = [&TLS13];
static INTERMEDIATE: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

pub(super) fn versions(policy: TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    match policy {
        TlsPolicy::Modern => &MODERN,
        TlsPolicy::Intermediate => &INTERMEDIATE,
    }
}
