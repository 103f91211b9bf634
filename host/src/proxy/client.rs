use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use http::HeaderValue;

use super::source::Source;
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
}

/// IPv4 clients of an IPv6 socket are shown as what they are.
pub(super) fn ip_text(ip: IpAddr) -> HeaderValue {
    HeaderValue::try_from(ip.to_canonical().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}
