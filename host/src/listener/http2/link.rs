use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;

use http::response;
use plimsoll_http2::Responder;

use crate::downstream::ClientBody;
use crate::io::Completion;
use crate::proxy::Link;

/// What a request says to its client before its answer.
pub(super) struct Http2Link<'a> {
    responder: &'a Responder,
    /// What comes in the protocol that the request asks for.
    tunnel: RefCell<Option<ClientBody>>,
    local_address: Option<SocketAddr>,
    completion: Option<Arc<Completion>>,
}

impl<'a> Http2Link<'a> {
    pub(super) fn new(
        responder: &'a Responder,
        local_address: Option<SocketAddr>,
        completion: Option<Arc<Completion>>,
    ) -> Self {
        Self { responder, tunnel: RefCell::default(), local_address, completion }
    }

    /// What comes in the protocol that the request asks for.
    pub(super) fn set_tunnel(&self, body: ClientBody) {
        self.tunnel.replace(Some(body));
    }
}

impl Link for Http2Link<'_> {
    fn informational(&self, head: response::Parts) {
        self.responder.send_head(head.status, &head.headers, false);
    }

    fn queued(&self, _queued: bool) {
        // A client that goes resets its stream.
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
