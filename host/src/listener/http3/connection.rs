use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use plimsoll_http3::{Code, MOST, Side};

use crate::io::{IntoQuic, PeerStreams};
use crate::listener::session::Session;
use crate::proxy::Client;

/// A client's connection.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) quic: quinn::Connection,
    /// Where the client has connected to, as far as the system tells.
    pub(super) local_address: Option<SocketAddr>,
    /// As the session has it, until its address changes.
    client: RefCell<Rc<Client>>,
    /// Those that the client has for itself.
    pub(super) client_streams: PeerStreams,
    /// From which stream on requests are refused.
    pub(super) refuses_from: Cell<u64>,
}

impl Connection {
    pub(super) fn new(session: Session, quic: quinn::Connection) -> Self {
        let client = RefCell::new(session.client.clone());
        let local = quic.local_ip().zip(session.slot.current());
        let local_address = local.map(|(ip, listener)| SocketAddr::new(ip, listener.port));
        Self {
            session,
            quic,
            local_address,
            client,
            client_streams: PeerStreams::of(Side::Client),
            refuses_from: Cell::new(MOST),
        }
    }

    /// Who asks: the address may be another than at the beginning (RFC 9000 section 9).
    pub(super) fn client(&self) -> Rc<Client> {
        let address = self.quic.remote_address();
        let mut client = self.client.borrow_mut();
        if client.address != address {
            *client = Rc::new(client.moved_to(address));
        }
        client.clone()
    }

    /// Ends it at once, with what the client is told.
    pub(super) fn end(&self, code: Code) {
        self.quic.close(code.into_quic(), b"");
    }
}
