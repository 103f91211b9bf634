use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, response};
use plimsoll_http3::Code;
use quinn::SendStream;

use super::connection::IntoQuic;
use super::sending::{Sending, put_head};
use crate::downstream::ClientBody;
use crate::proxy::Link;
use crate::timer::Timer;

/// What a request says to its client before its answer.
pub(super) struct Http3Link {
    send: RefCell<SendStream>,
    /// What could not be sent yet.
    unsent: RefCell<BytesMut>,
    /// What comes in the protocol that the request asks for.
    tunnel: RefCell<Option<ClientBody>>,
    local_address: Option<SocketAddr>,
}

const PRIORITY: HeaderName = HeaderName::from_static("priority");
/// RFC 9218 section 4.1.
const DEFAULT_URGENCY: u8 = 3;

impl Http3Link {
    pub(super) fn new(send: SendStream, local_address: Option<SocketAddr>) -> Self {
        let (send, unsent, tunnel) = (RefCell::new(send), RefCell::default(), RefCell::default());
        Self { send, unsent, tunnel, local_address }
    }

    /// Ready when the client does not want the answer, or is gone.
    pub(super) fn stopped(&self) -> impl Future {
        self.send.borrow().stopped()
    }

    /// What comes in the protocol that the request asks for.
    pub(super) fn set_tunnel(&self, body: ClientBody) {
        self.tunnel.replace(Some(body));
    }

    /// What the client finds urgent goes before what it does not (RFC 9218).
    pub(super) fn prioritise(&self, headers: &HeaderMap) {
        let Some(priority) = headers.get(PRIORITY) else { return };
        let mut members = priority.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let urgency = members.find_map(|member| match member {
            [b'u', b'=', urgency @ b'0'..=b'7'] => Some(urgency - b'0'),
            _ => None,
        });
        // The stream may be over.
        let _ =
            self.send.borrow().set_priority(i32::from(DEFAULT_URGENCY) - i32::from(urgency.unwrap_or(DEFAULT_URGENCY)));
    }

    pub(super) fn reset(self, code: Code) {
        // It may be over.
        let _ = self.send.into_inner().reset(code.into_quic());
    }

    pub(super) fn into_sending(self, timer: Timer, patience: Option<Duration>) -> Sending {
        Sending::new(self.send.into_inner(), self.unsent.into_inner(), timer, patience)
    }
}

impl Link for Http3Link {
    fn informational(&self, head: response::Parts) {
        let mut unsent = self.unsent.borrow_mut();
        if !unsent.is_empty() {
            // The client takes nothing.
            return;
        }
        put_head(&mut unsent, head.status, &head.headers);
        let mut send = self.send.borrow_mut();
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        let mut chunk = [unsent.split().freeze()];
        // What finds no room goes before the answer.
        let _ = pin!(send.write_chunks(&mut chunk)).poll(&mut nobody);
        let [rest] = chunk;
        unsent.extend_from_slice(&rest);
    }

    fn queued(&self, _queued: bool) {
        // A client that goes stops its stream.
    }

    fn tunnel(&self) -> Option<ClientBody> {
        self.tunnel.take()
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }
}
