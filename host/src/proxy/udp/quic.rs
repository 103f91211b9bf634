//! What QUIC shows of its connections to whoever carries them (RFC 8999): the ids by which a client names its connection, wherever
//! it sends from.

use crate::config;
use crate::net::Datagrams;
use crate::proxy::cluster::Cluster;
use crate::proxy::picked::Picked;
use crate::snapshot::ConnectionId;

/// Kept of a session: a client may have several connections, and an endpoint that has clients come again names them anew.
const MOST_IDS: usize = 8;
/// In the first byte of packets that tell both ids, with their lengths: those of handshakes.
const LONG_HEADER: u8 = 0x80;

/// The ids of the connections that a session carries, as far as its endpoint has told them in the clear.
#[derive(Debug, Default)]
pub(super) struct Ids(Vec<ConnectionId>);

impl Ids {
    /// The endpoint that has given a client's connection its id. What begins a handshake names an id that the client has made up.
    pub(super) fn find(&mut self, quic: config::Quic, cluster: &Cluster, datagram: &[u8]) -> Option<Picked> {
        let id = destination(datagram)?;
        let id = match quic.server_id {
            None => id,
            Some(server_id) => of_server(id, server_id)?,
        };
        let known = cluster.connection_ids().at_the_beginning_of(id)?;
        let picked = cluster.of_connection(&known)?;
        self.hold(known);
        Some(picked)
    }

    /// The ids that the endpoint gives connections, in what it has sent, lead to it.
    pub(super) fn learn(&mut self, quic: config::Quic, cluster: &Cluster, picked: &Picked, datagrams: &Datagrams<'_>) {
        for id in datagrams.iter().filter_map(source) {
            let id = match quic.server_id {
                None => id,
                Some(server_id) => of_server(id, server_id).unwrap_or_default(),
            };
            if self.0.iter().any(|held| held.bytes() == id) {
                continue;
            }
            let learnt = cluster.connection_ids().learn(id, &picked.endpoint.endpoint);
            learnt.into_iter().for_each(|learnt| self.hold(learnt));
        }
    }

    fn hold(&mut self, id: ConnectionId) {
        if self.0.len() == MOST_IDS {
            self.0.remove(0);
        }
        self.0.push(id);
    }
}

/// The id that whoever has sent this wants its connection to be named by, where it says so.
fn source(datagram: &[u8]) -> Option<&[u8]> {
    let (first, rest) = datagram.split_first()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    // Who negotiates a version names no connection of its own.
    if first & LONG_HEADER == 0 || *version == [0; 4] {
        return None;
    }
    let (_destination, rest) = counted(rest)?;
    counted(rest).map(|(source, _)| source)
}

/// Whether it is of a handshake.
pub fn begins_quic(datagram: &[u8]) -> bool {
    datagram.first().is_none_or(|first| first & LONG_HEADER != 0)
}

/// What begins with the id of the receiver's connection, in a packet after the handshake.
fn destination(datagram: &[u8]) -> Option<&[u8]> {
    let (first, rest) = datagram.split_first()?;
    (first & LONG_HEADER == 0).then_some(rest)
}

/// What stands behind its length, and the rest.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// The part of an id that is the endpoint's own.
fn of_server(id: &[u8], server_id: config::ServerId) -> Option<&[u8]> {
    id.get(server_id.offset..)?.get(..server_id.bytes)
}

/// A datagram of QUIC: what is found in it is of it. See `crate::fuzzing`.
pub fn read_quic(bytes: &[u8]) {
    let server_id = config::ServerId { offset: 1, bytes: 8 };
    assert!(source(bytes).is_none() || destination(bytes).is_none(), "a packet has one form");
    for id in [source(bytes), destination(bytes)].into_iter().flatten() {
        assert!(id.len() < bytes.len());
        assert!(of_server(id, server_id).is_none_or(|part| id[1..].starts_with(part) && part.len() == 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_where_rfc8999_has_them() {
        let long = b"\xc0\x00\x00\x00\x01\x02ab\x03xyz and so on";
        assert_eq!((source(long), destination(long)), (Some(&b"xyz"[..]), None));
        let short = b"\x40xyz and so on";
        assert_eq!((source(short), destination(short)), (None, Some(&b"xyz and so on"[..])));
        assert_eq!(source(b"\xc0\x00\x00\x00\x01\x00\x00"), Some(&[][..]), "an id may have no bytes");
        assert_eq!(source(b"\xc0\x00\x00\x00\x00\x02ab\x03xyz"), None, "versions are negotiated");
        (0..long.len() - 10).for_each(|length| assert_eq!(source(&long[..length]), None, "{length} bytes"));
        let server_id = config::ServerId { offset: 1, bytes: 2 };
        assert_eq!((of_server(b"abcd", server_id), of_server(b"ab", server_id)), (Some(&b"bc"[..]), None));
    }
}
