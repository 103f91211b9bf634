use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What is said of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// None when the sender speaks for itself, as with a probe of its own (LOCAL), or does not know (UNKNOWN, UNSPEC), or the
    /// client is at a socket of its machine (AF_UNIX).
    pub addresses: Option<Addresses>,
    pub details: Details,
}

/// The ends of the connection that the sender has with its client. Both are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    source: SocketAddr,
    destination: SocketAddr,
    is_of_datagrams: bool,
}

impl Addresses {
    /// Where the families differ, that of IPv4 is written as one of IPv6 (RFC 4291 section 2.5.5.2).
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (source, destination) = (plain(source), plain(destination));
        if source.is_ipv4() == destination.is_ipv4() {
            return Self { source, destination, is_of_datagrams: false };
        }
        let mapped = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => SocketAddr::new(Ipv4Addr::to_ipv6_mapped(&ip).into(), address.port()),
            IpAddr::V6(_) => address,
        };
        Self { source: mapped(source), destination: mapped(destination), is_of_datagrams: false }
    }

    /// The same of UDP, in front of a datagram. Version 1 knows nothing of it.
    pub fn of_datagrams(self) -> Self {
        Self { is_of_datagrams: true, ..self }
    }

    /// Whether they are of UDP.
    pub fn is_of_datagrams(&self) -> bool {
        self.is_of_datagrams
    }

    /// The client.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// Where it connected to.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }
}

/// What version 2 may say beside the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// What the client speaks above TLS (ALPN).
    pub application_protocol: Option<Box<[u8]>>,
    /// The name that the client asked for (SNI).
    pub authority: Option<Box<str>>,
    /// A name for the connection; up to 128 bytes.
    pub unique_id: Option<Box<[u8]>>,
    /// None: nothing is said of it.
    pub ssl: Option<Box<Ssl>>,
}

/// How the client speaks TLS to the sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// Whether it does.
    pub encrypted: bool,
    /// Whether it has shown a certificate, which was verified.
    pub verified: bool,
    pub version: Option<Box<str>>,
    pub cipher: Option<Box<str>>,
    /// Of the certificate.
    pub common_name: Option<Box<str>>,
}
