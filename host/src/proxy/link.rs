use std::net::SocketAddr;
use std::sync::Arc;

use http::header::EXPECT;
use http::{StatusCode, Version};
use plimsoll_fields::{RequestHead, ResponseHead};

use crate::downstream::{Body, ClientBody};
use crate::io::Completion;

/// The connection on which a request came, as far as the request has to do with it while it has no answer.
pub trait Link {
    /// Sends what an endpoint has answered in advance (1xx, RFC 9110 section 15.2), such as 103 (Early Hints). One that
    /// finds no room is left out, as a proxy may do with any.
    fn informational(&self, head: ResponseHead);

    /// Tells whether the request waits for room at an endpoint. Nothing of it has been sent then, and nobody need wait for
    /// a client that ends its side.
    fn queued(&self, queued: bool);

    /// The request has been answered with another protocol: what its client sends in it, from here on up to its end. None
    /// where nothing could come.
    fn tunnel(&self) -> Option<ClientBody>;

    /// The address of ours at which the client has asked.
    fn local_address(&self) -> Option<SocketAddr>;

    /// How its handshake stands, where requests may come before that is over.
    fn handshake(&self) -> Option<&Arc<Completion>>;
}

/// Tells a client to go on that waits for it before it sends a body (RFC 9110 section 10.1.1), once. One of HTTP/1.1 hears it
/// when its connection is read, unless it has sent something meanwhile.
pub(super) fn go_on(head: &mut RequestHead, body: &ClientBody, link: &dyn Link) {
    if head.version < Version::HTTP_2 || body.is_ended() {
        return;
    }
    if head.headers.remove(EXPECT).is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        link.informational(ResponseHead::of(StatusCode::CONTINUE));
    }
}
