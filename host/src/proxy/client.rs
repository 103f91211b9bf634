use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use plimsoll_fields::Fields;
use plimsoll_proxy_protocol::Details;

use super::greeting::Greeting;
use super::hops;
use super::source::{Source, ip_text};
use crate::config::Networks;
use crate::telemetry::{ClientCertificate, ClientTls};
use crate::tls::Certificate;

/// Who is at the other end of a downstream connection.
#[derive(Debug)]
pub struct Client {
    pub address: SocketAddr,
    /// The address without port, as attributes show it and `X-Forwarded-For` carries it.
    pub ip: HeaderValue,
    /// What requests come from that nobody forwarded for another.
    pub(super) source: Rc<Source>,
    /// None in the clear. In a box, since connections in the clear keep room for it.
    pub(super) tls: Option<Rc<Encrypted>>,
    /// What a proxy in front of us has said of the connection. In a box for the same reason.
    pub(super) announced: Option<Box<Announced>>,
}

/// What a proxy in front of us has said of a connection (PROXY protocol), beside who the client is.
#[derive(Clone, Debug)]
pub struct Announced {
    /// Where the client connected to.
    pub destination: Option<SocketAddr>,
    pub details: Details,
}

/// How a client speaks TLS to us.
#[derive(Debug)]
pub struct Encrypted {
    pub described: ClientTls,
    /// The certificate that it has been shown.
    pub certificate: Option<Arc<Certificate>>,
    /// What was agreed on to be spoken (ALPN).
    pub application_protocol: Option<Box<[u8]>>,
}

impl Client {
    /// `tls`: how the client speaks TLS to us, if it does.
    pub fn new(address: SocketAddr, tls: Option<Encrypted>) -> Self {
        Self::of(address, tls, None)
    }

    /// One that a proxy in front of us makes the connection for.
    pub fn announced(address: SocketAddr, tls: Option<Encrypted>, announced: Box<Announced>) -> Self {
        Self::of(address, tls, Some(announced))
    }

    fn of(address: SocketAddr, tls: Option<Encrypted>, announced: Option<Box<Announced>>) -> Self {
        let ip = ip_text(address.ip());
        let ends_tls = |announced: &Announced| announced.details.ssl.as_ref().is_some_and(|ssl| ssl.encrypted);
        let is_secure = tls.is_some() || announced.as_deref().is_some_and(ends_tls);
        let scheme = if is_secure { "https" } else { "http" };
        let source = Rc::new(Source { address, ip: ip.clone(), scheme, by_trusted_hop: false });
        Self { address, ip, source, tls: tls.map(Rc::new), announced }
    }

    /// What it wants, as far as that was said before its first byte: in its handshake with us, or with the proxy in front of us.
    /// None when neither has spoken TLS with it.
    pub(super) fn greeting(&self) -> Option<Greeting<'_>> {
        if let Some(tls) = self.tls.as_deref() {
            let (server_name, application_protocols) =
                (tls.described.server_name.as_deref(), tls.application_protocol.as_deref());
            return Some(Greeting { server_name, application_protocols });
        }
        let details = &self.announced.as_deref()?.details;
        details.ssl.as_ref().filter(|ssl| ssl.encrypted)?;
        Some(Greeting {
            server_name: details.authority.as_deref(),
            application_protocols: details.application_protocol.as_deref(),
        })
    }

    /// The same at another address.
    pub fn moved_to(&self, address: SocketAddr) -> Self {
        let ip = ip_text(address.ip());
        let source = Rc::new(Source { address, ip: ip.clone(), scheme: self.scheme(), by_trusted_hop: false });
        Self { address, ip, source, tls: self.tls.clone(), announced: None }
    }

    /// Whose certificate it has shown, which was verified.
    pub(super) fn certificate(&self) -> Option<&ClientCertificate> {
        self.tls.as_ref()?.described.certificate.as_deref()
    }

    pub fn scheme(&self) -> &'static str {
        self.source.scheme
    }

    /// Whether a request on this connection is for a host that is not the client's to ask here: another than the name that it
    /// has greeted with, and none that the certificate is for (RFC 9110 section 7.4).
    pub(super) fn is_misdirected(&self, host: Option<&HeaderValue>) -> bool {
        let Some(tls) = self.tls.as_deref() else { return false };
        let (Some(name), Some(certificate)) = (&tls.described.server_name, &tls.certificate) else { return false };
        let host = host.map(|host| without_port(host.as_bytes())).unwrap_or_default();
        let host = host.strip_suffix(b".").unwrap_or(host);
        if host.is_empty() || host.eq_ignore_ascii_case(name.as_bytes()) {
            return false;
        }
        !std::str::from_utf8(host).is_ok_and(|host| certificate.covers(&host.to_ascii_lowercase()))
    }

    /// Whom a request with these header fields comes from. Without trust they are not looked at.
    pub(super) fn source_of(&self, trusted: Option<&Networks>, headers: &Fields) -> Rc<Source> {
        let Some(trusted) = trusted.filter(|trusted| trusted.contains(self.address.ip())) else {
            return self.source.clone();
        };
        let address = hops::client(headers, trusted, self.address);
        let ip = if address == self.address { self.ip.clone() } else { ip_text(address.ip()) };
        let scheme = hops::scheme(headers).unwrap_or_else(|| self.scheme());
        Rc::new(Source { address, ip, scheme, by_trusted_hop: true })
    }
}

/// The host of an authority; addresses of IPv6 stay in brackets.
pub(super) fn without_port(authority: &[u8]) -> &[u8] {
    let from = authority.iter().position(|byte| *byte == b']').unwrap_or(0);
    let port = authority[from..].iter().position(|byte| *byte == b':');
    port.map_or(authority, |at| &authority[..from + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_its_port() {
        for (authority, host) in [
            ("a.test", "a.test"),
            ("a.test:80", "a.test"),
            ("a.test:", "a.test"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(authority.as_bytes()), host.as_bytes());
        }
    }
}
