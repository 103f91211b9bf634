use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use plimsoll_fields::ResponseHead;

use super::session::Session;
use crate::downstream::ClientBody;
use crate::io::Completion;
use crate::proxy::Link;

/// What a request on a stream of HTTP/2 or HTTP/3 says to its client before its answer; `inform` sends a head in advance.
pub(super) struct StreamLink<I> {
    inform: I,
    /// What comes in the protocol that the request asks for.
    tunnel: RefCell<Option<ClientBody>>,
    local_address: Option<SocketAddr>,
    completion: Option<Arc<Completion>>,
}

impl<I: Fn(ResponseHead)> StreamLink<I> {
    pub(super) fn new(session: &Session, local_address: Option<SocketAddr>, inform: I) -> Self {
        Self { inform, tunnel: RefCell::default(), local_address, completion: session.completion.clone() }
    }

    /// What comes in the protocol that the request asks for.
    pub(super) fn set_tunnel(&self, body: ClientBody) {
        self.tunnel.replace(Some(body));
    }
}

impl<I: Fn(ResponseHead)> Link for StreamLink<I> {
    fn informational(&self, head: ResponseHead) {
        (self.inform)(head);
    }

    fn queued(&self, _queued: bool) {
        // A client that goes ends its stream, which is heard of.
    }

    fn tunnel(&self) -> Option<ClientBody> {
        self.tunnel.take()
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    fn handshake(&self) -> Option<&Arc<Completion>> {
        self.completion.as_ref()
    }
}
