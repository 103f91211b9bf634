use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificates::Certificates;
use crate::config::{self, TlsPolicy};

/// How a listener speaks TLS.
#[derive(Clone, Debug)]
pub struct ServerTls(pub Arc<ServerConfig>);

/// What makes tickets to resume sessions (RFC 8446 section 4.6.1): one for all listeners and for as long as the process
/// lives, so that a reload does not make clients start anew. Its keys change every few hours.
#[derive(Clone, Debug)]
pub struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    /// None when the system has no random numbers.
    pub fn new() -> Option<Self> {
        aws_lc_rs::Ticketer::new().ok().map(Self)
    }
}

impl ServerTls {
    /// Fails with what is wrong with the certificates, and with which (JSON Pointer).
    pub fn new(tls: &config::Tls, tickets: Option<&Tickets>) -> Result<Self, Vec<(String, String)>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Certificates::read(&tls.certificates, &provider)?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(tls.policy))
            .map_err(|error| vec![(tls.pointer.clone(), error.to_string())])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        // RFC 7301: HTTP/2 where the client can.
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions are kept by their clients.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        if let Some(Tickets(tickets)) = tickets {
            server.ticketer = tickets.clone();
        }
        Ok(Self(Arc::new(server)))
    }
}

static MODERN: [&SupportedProtocolVersion; 1] = [&TLS13];
static INTERMEDIATE: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

fn versions(policy: TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    match policy {
        TlsPolicy::Modern => &MODERN,
        TlsPolicy::Intermediate => &INTERMEDIATE,
    }
}
