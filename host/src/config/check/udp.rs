use super::Checker;
use crate::config::model::{Cluster, Quic, ServerId, Udp};
use crate::config::quantity::SpanOrOff;
use crate::config::schema::{self, Protocol};

/// RFC 9000 section 17.2.
const MOST_ID_BYTES: usize = 20;

impl Checker<'_> {
    /// What a listener says of sessions of UDP. Where it carries datagrams, it says nothing that would not hold.
    pub(super) fn udp(&mut self, path: &str, listener: &schema::Listener, clusters: &[Cluster]) -> Udp {
        if matches!(listener.protocol, Protocol::Udp) {
            self.nothing_of_connections(path, listener);
            if matches!(listener.timeouts.idle, Some(SpanOrOff(None))) {
                self.mistake(
                    &format!("{path}/timeouts/idle"),
                    "a client of UDP does not say that it has gone: there has to be a time",
                );
            }
            let named = clusters.iter().find(|cluster| Some(&cluster.name) == listener.cluster.as_ref());
            if let Some(what) = named.and_then(Cluster::not_over_udp) {
                self.mistake(&format!("{path}/cluster"), format!("it has {what}, which UDP does not carry"));
            }
        } else if listener.udp.is_some() {
            self.mistake(&format!("{path}/udp"), "only for listeners with `protocol: udp`");
        }
        let told = listener.udp.as_ref();
        let quic = told.and_then(|told| self.quic(&format!("{path}/udp"), told));
        Udp {
            responses: told.and_then(|told| told.responses),
            requests: told.and_then(|told| told.requests),
            datagram_bytes: told.and_then(|told| told.datagram_bytes).unwrap_or(u16::MAX).into(),
            quic,
        }
    }

    fn quic(&mut self, path: &str, udp: &schema::Udp) -> Option<Quic> {
        let quic = udp.quic.as_ref()?;
        for (key, told) in [("responses", udp.responses), ("requests", udp.requests)] {
            if told.is_some() {
                self.mistake(&format!("{path}/{key}"), "connections of QUIC are not counted in datagrams");
            }
        }
        let server_id =
            quic.server_id.as_ref().map(|told| ServerId { offset: told.offset.into(), bytes: told.bytes.into() });
        if server_id.is_some_and(|told| told.offset + told.bytes > MOST_ID_BYTES) {
            self.mistake(&format!("{path}/quic/server_id"), "ids of connections have 20 bytes at the most");
        }
        Some(Quic { server_id })
    }

    fn nothing_of_connections(&mut self, path: &str, listener: &schema::Listener) {
        let of_connections = [
            ("tls", listener.tls.is_some(), "DTLS is not spoken here; what clients send is passed on as it comes"),
            ("http3", listener.http3.is_some(), "it is for `http` listeners with `tls`"),
            ("redirect_https", listener.redirect_https.is_some(), "only HTTP has redirects"),
            ("trusted", listener.trusted.is_some(), "UDP has no forwarding headers that could be believed"),
            ("forwarded", listener.forwarded.is_some(), "UDP has no forwarding headers"),
            ("deadline_header", listener.deadline_header.is_some(), "UDP has no header fields"),
            ("upgrades", listener.upgrades.is_some(), "UDP listeners carry datagrams of any protocol"),
        ];
        for (key, _, message) in of_connections.into_iter().filter(|(_, is_there, _)| *is_there) {
            self.mistake(&format!("{path}/{key}"), message);
        }
    }
}
