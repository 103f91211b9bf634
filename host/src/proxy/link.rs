use std::net::SocketAddr;

use http::response::Parts;

use crate::downstream::ClientBody;

/// The connection on which a request came, as far as the request has to do with it while it has no answer.
pub trait Link {
    /// Sends what an endpoint has answered in advance (1xx, RFC 9110 section 15.2), such as 103 (Early Hints). One that
    /// finds no room is left out, as a proxy may do with any.
    fn informational(&self, head: Parts);

    /// Tells whether the request waits for room at an endpoint. Nothing of it has been sent then, and nobody need wait for
    /// a client that ends its side.
    fn queued(&self, queued: bool);

    /// The request has been answered with another protocol: what its client sends in it, from here on up to its end. None
    /// where nothing could come.
    fn tunnel(&self) -> Option<ClientBody>;

    /// The address of ours at which the client has asked.
    fn local_address(&self) -> Option<SocketAddr>;
}
