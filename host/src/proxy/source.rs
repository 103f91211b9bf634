use std::net::SocketAddr;
use std::rc::Rc;

use http::{HeaderMap, HeaderValue};

use super::client::Client;
use super::hops;
use crate::config::Networks;

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

impl Source {
    /// Of a request with these header fields. Without trust they are not looked at.
    pub(super) fn of_request(client: &Client, trusted: Option<&Networks>, headers: &HeaderMap) -> Rc<Self> {
        let Some(trusted) = trusted.filter(|trusted| trusted.contains(client.address.ip())) else {
            return client.source.clone();
        };
        let address = hops::client(headers, trusted, client.address);
        let ip = if address == client.address { client.ip.clone() } else { super::client::ip_text(address.ip()) };
        let scheme = hops::scheme(headers).unwrap_or_else(|| client.scheme());
        Rc::new(Self { address, ip, scheme, by_trusted_hop: true })
    }
}
