use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderName, HeaderValue};
use plimsoll_fields::{Fields, ResponseHead};
use plimsoll_http3::Code;
use quinn::SendStream;

use super::sending::{Sending, put_head};
use crate::io::IntoQuic;
use crate::timer::Timer;

/// The stream on which a request is answered, as long as it has no answer.
pub(super) struct Outbound {
    send: RefCell<SendStream>,
    /// What could not be sent yet.
    unsent: RefCell<BytesMut>,
}

const PRIORITY: HeaderName = HeaderName::from_static("priority");
/// RFC 9218 section 4.1.
const DEFAULT_URGENCY: u8 = 3;

impl Outbound {
    pub(super) fn new(send: SendStream) -> Self {
        Self { send: RefCell::new(send), unsent: RefCell::default() }
    }

    /// What the client finds urgent goes before what it does not (RFC 9218).
    pub(super) fn prioritise(&self, headers: &Fields) {
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

    /// Sends a head in advance.
    pub(super) fn inform(&self, head: ResponseHead) {
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
