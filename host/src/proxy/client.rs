use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use http::HeaderValue;

use super::source::Source;

/// Who is at the other end of a downstream connection.
#[derive(Debug)]
pub struct Client {
    pub address: SocketAddr,
    /// The address without port, as attributes show it and `X-Forwarded-For` carries it.
    pub ip: HeaderValue,
    /// What requests come from that nobody forwarded for another.
    pub(super) source: Rc<Source>,
}

impl Client {
    /// `secure`: whether the client speaks TLS to us.
    pub fn new(address: SocketAddr, secure: bool) -> Self {
        let ip = ip_text(address.ip());
        let scheme = if secure { "https" } else { "http" };
        let source = Rc::new(Source { address, ip: ip.clone(), scheme, by_trusted_hop: false });
        Self { address, ip, source }
    }

    pub fn scheme(&self) -> &'static str {
        self.source.scheme
    }
}

/// IPv4 clients of an IPv6 socket are shown as what they are.
pub(super) fn ip_text(ip: IpAddr) -> HeaderValue {
    HeaderValue::try_from(ip.to_canonical().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}
