use std::cell::Cell;

use tokio::sync::Notify;

/// Whether the handshake of a connection is over that serves requests before it is: what has come by then could be sent again by
/// somebody who has seen it (RFC 8470).
#[derive(Debug, Default)]
pub(super) struct Completion {
    is_over: Cell<bool>,
    told: Notify,
}

impl Completion {
    /// Of a connection that serves nothing before.
    pub(super) fn reached() -> Self {
        Self { is_over: Cell::new(true), told: Notify::new() }
    }

    pub(super) fn reach(&self) {
        self.is_over.set(true);
        self.told.notify_waiters();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Ready when the handshake is over, well or not.
    pub(super) async fn wait(&self) {
        let told = self.told.notified();
        if !self.is_over.get() {
            told.await;
        }
    }
}
