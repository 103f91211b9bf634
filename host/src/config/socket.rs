use std::net::SocketAddr;

/// What a listening socket is known by, as long as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SocketKey {
    pub transport: Transport,
    /// As configured.
    pub address: SocketAddr,
    /// The listener, where the system chooses the port: each has one of its own.
    pub listener: Option<String>,
}

/// What carries connections; sockets of two may have one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Udp,
    /// Over UDP, in sockets that know its connections.
    Quic,
}

/// What becomes of a socket that the configuration no longer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Afterlife {
    /// It stays, and serves for one whose address covers its own. The kernel gives it the connections to its address for as
    /// long as it is there, and resets those that nobody has accepted when it goes.
    ServesFor(SocketKey),
    /// It covers these. New connections to their addresses come to their own sockets, so it goes when it has accepted those
    /// that had begun before.
    GivesWayTo(Vec<SocketKey>),
    Ends,
}

impl SocketKey {
    /// What becomes of a socket of this key when the configuration names others.
    pub fn afterlife(&self, named: &[Self]) -> Afterlife {
        if let Some(wider) = named.iter().find(|other| other.covers(self)) {
            return Afterlife::ServesFor(wider.clone());
        }
        let narrower: Vec<Self> = named.iter().filter(|other| self.covers(other)).cloned().collect();
        if narrower.is_empty() { Afterlife::Ends } else { Afterlife::GivesWayTo(narrower) }
    }

    /// Whether both could take a connection to one address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Whether a socket of this key also takes connections to the address of the other, in its absence: `0.0.0.0` those to
    /// any address of IPv4, `[::]` to any of IPv6, at the same port.
    fn covers(&self, other: &Self) -> bool {
        let (own, others) = (self.address.ip(), other.address.ip());
        self.transport == other.transport
            && self.listener.is_none()
            && other.listener.is_none()
            && self.address.port() == other.address.port()
            && own.is_ipv4() == others.is_ipv4()
            && own.is_unspecified()
            && !others.is_unspecified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> SocketKey {
        SocketKey { transport: Transport::Tcp, address: address.parse().expect("an address"), listener: None }
    }

    #[test]
    fn sockets_of_one_port_stand_in_for_each_other() {
        let of = |socket: &str, named: &[&str]| {
            key(socket).afterlife(&named.iter().map(|named| key(named)).collect::<Vec<_>>())
        };
        assert_eq!(of("127.0.0.1:80", &["0.0.0.0:81", "0.0.0.0:80"]), Afterlife::ServesFor(key("0.0.0.0:80")));
        assert_eq!(of("[::1]:80", &["0.0.0.0:80", "[::]:80"]), Afterlife::ServesFor(key("[::]:80")));
        let narrower = vec![key("127.0.0.1:80"), key("127.0.0.2:80")];
        assert_eq!(of("0.0.0.0:80", &["127.0.0.1:80", "127.0.0.2:80", "[::1]:80"]), Afterlife::GivesWayTo(narrower));
        for (socket, named) in
            [("127.0.0.1:80", "127.0.0.2:80"), ("0.0.0.0:80", "[::]:80"), ("0.0.0.0:80", "127.0.0.1:81")]
        {
            assert_eq!(of(socket, &[named]), Afterlife::Ends, "{socket} and {named}");
        }
        let chosen = |listener: &str| SocketKey { listener: Some(listener.to_owned()), ..key("0.0.0.0:0") };
        assert_eq!(chosen("a").afterlife(&[chosen("b"), key("127.0.0.1:0")]), Afterlife::Ends);
    }
}
