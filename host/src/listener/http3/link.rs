use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, response};
use plimsoll_http3::Code;
use quinn::SendStream;

use super::sending::{Sending, put_head};
use crate::downstream::ClientBody;
use crate::io::{Completion, IntoQuic};
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
    completion: Option<Arc<Completion>>,
}

const PRIORITY: HeaderName = HeaderName::from_static("priority");
/// RFC 9218 section 4.1.
const DEFAULT_URGENCY: u8 = 3;

impl Http3Link {
    pub(super) fn new(
        send: SendStream,
        local_address: Option<SocketAddr>,
        completion: Option<Arc<Completion>>,
    ) -> Self {
        let (send, unsent, tunnel) = (RefCell::new(send), RefCell::default(), RefCell::default());
        Self { send, unsent, tunnel, local_address, completion }
    }

    /// What comes in the protocol that the request asks for.
    pub(super) fn set_tunnel(&self, body: ClientBody) {
        self.tunnel.replace(Some(body));
    }

    /// What the client finds urgent goes before what it does not (RFC 9218).
    pub(super) fn prioritise(&self, headers: &HeaderMap) {
        let Some(priority) = headers.get(PRIORITY).map(priority) else { return };
        // The stream may be over.
        let _ = self.send.borrow().set_priority(priority);
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

    fn handshake(&self) -> Option<&Arc<Completion>> {
        self.completion.as_ref()
    }
}

/// What stands before what: what a client finds more urgent than it would without saying so is above 0.
fn priority(said: &HeaderValue) -> i32 {
    let mut members = said.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let urgency = members.find_map(|member| match member {
        [b'u', b'=', urgency @ b'0'..=b'7'] => Some(urgency - b'0'),
        _ => None,
    });
    i32::from(DEFAULT_URGENCY) - i32::from(urgency.unwrap_or(DEFAULT_URGENCY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_goes_first() {
        for (said, wanted) in [("u=0", 3), ("i, u=1", 2), ("u=3", 0), ("u=7,i", -4), ("u=8", 0), ("i", 0), ("", 0)] {
            assert_eq!(priority(&HeaderValue::from_static(said)), wanted, "{said}");
        }
    }
}
