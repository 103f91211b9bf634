use std::net::SocketAddr;
use std::rc::Rc;

use http::{HeaderMap, HeaderValue};

use super::hops;
use super::source::{Source, ip_text};
use crate::config::Networks;
use crate::telemetry::ClientTls;

/// Who is at the other end of a downstream connection.
#[derive(Debug)]
pub struct Client {
    pub address: SocketAddr,
    /// The address without port, as attributes show it and `X-Forwarded-For` carries it.
    pub ip: HeaderValue,
    /// What requests come from that nobody forwarded for another.
    pub(super) source: Rc<Source>,
    /// None in the clear.
    pub(super) tls: Option<ClientTls>,
}

impl Client {
    /// `tls`: how the client speaks TLS to us, if it does.
    pub fn new(address: SocketAddr, tls: Option<ClientTls>) -> Self {
        let ip = ip_text(address.ip());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let source = Rc::new(Source { address, ip: ip.clone(), scheme, by_trusted_hop: false });
        Self { address, ip, source, tls }
    }

    pub fn scheme(&self) -> &'static str {
        self.source.scheme
    }

    /// Whom a request with these header fields comes from. Without trust they are not looked at.
    pub(super) fn source_of(&self, trusted: Option<&Networks>, headers: &HeaderMap) -> Rc<Source> {
        let Some(trusted) = trusted.filter(|trusted| trusted.contains(self.address.ip())) else {
            return self.source.clone();
        };
        let address = hops::client(headers, trusted, self.address);
        let ip = if address == self.address { self.ip.clone() } else { ip_text(address.ip()) };
        let scheme = hops::scheme(headers).unwrap_or_else(|| self.scheme());
        Rc::new(Source { address, ip, scheme, by_trusted_hop: true })
    }
}
