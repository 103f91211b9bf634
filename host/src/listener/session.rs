use std::rc::Rc;
use std::sync::Arc;

use http::Version;

use super::connection::Connection;
use crate::config;
use crate::error::ErrorKind;
use crate::io::Completion;
use crate::proxy::{self, Client, Listener, ListenerSlot, Response, Unread};
use crate::telemetry::BadRequest;

/// What all requests of a client's connection have in common.
pub(super) struct Session {
    pub(super) context: Rc<proxy::Context>,
    pub(super) slot: Rc<ListenerSlot>,
    /// As it was when the connection began: what holds for the connection as a whole.
    pub(super) config: Arc<config::Listener>,
    pub(super) client: Rc<Client>,
    pub(super) connection: Rc<Connection>,
    /// Of its handshake, where requests may come before that is over.
    pub(super) completion: Option<Arc<Completion>>,
}

impl Session {
    /// None when the listener has gone.
    pub(super) fn begin(
        context: Rc<proxy::Context>,
        slot: Rc<ListenerSlot>,
        client: Client,
        connection: Rc<Connection>,
        completion: Option<Arc<Completion>>,
    ) -> Option<Self> {
        let config = slot.current()?.config.clone();
        Some(Self { context, slot, config, client: Rc::new(client), connection, completion })
    }

    /// The listener that takes the next request; none, and the connection is to end, when it has gone from the
    /// configuration.
    pub(super) fn listener(&self) -> Option<Rc<Listener>> {
        let listener = self.slot.current();
        if listener.is_none() {
            self.connection.drain();
        }
        listener
    }

    /// Counts that the connection ends, since its client gives up most of what it asks for.
    pub(super) fn refuse_abuse(&self) {
        if let Some(listener) = self.slot.current() {
            tracing::debug!(listener = &*listener.name, "most of many requests were given up: the connection ends");
            listener.shard.bad_request(BadRequest::GivenUp);
        }
    }

    /// Counts and logs a request that was not read whole. Its answer; none when the listener has gone.
    pub(super) fn refuse(&self, kind: ErrorKind, version: Version) -> Option<Response> {
        let unread = Unread::Section(version);
        Some(proxy::refuse(&self.context, self.listener()?, self.client.clone(), kind, unread))
    }

    /// Counts and logs a request of HTTP/2 or HTTP/3 that is malformed: its stream ends without an answer.
    pub(super) fn refuse_stream(&self, kind: ErrorKind, version: Version) {
        drop(self.refuse(kind, version));
    }
}
