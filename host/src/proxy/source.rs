use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;

/// From whom a request comes, as plugins, logs and limits see it: the client at the other end of the connection, or the one
/// that trusted hops forward it for.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The port is 0 where no hop has told it.
    pub(super) address: SocketAddr,
    /// The address without port.
    pub(super) ip: HeaderValue,
    /// `http` or `https`, as the first trusted hop was spoken to.
    pub(super) scheme: &'static str,
    /// Whether the other end of the connection is trusted.
    pub(super) by_trusted_hop: bool,
}

/// IPv4 clients of an IPv6 socket are shown as what they are.
pub(super) fn ip_text(ip: IpAddr) -> HeaderValue {
    HeaderValue::try_from(ip.to_canonical().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}
