use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// How the handshake of a connection stands that serves requests before it is over: what has come by then could be sent again by
/// somebody who has seen it (RFC 8470).
#[derive(Debug, Default)]
pub struct Completion {
    state: AtomicU8,
    told: Notify,
}

const UNDER_WAY: u8 = 0;
const DONE: u8 = 1;
/// Whoever began it has not shown that it is there.
const FAILED: u8 = 2;

impl Completion {
    pub fn reach(&self) {
        self.end(DONE);
    }

    /// It will not be reached, unless it has been.
    pub fn fail(&self) {
        self.end(FAILED);
    }

    fn end(&self, state: u8) {
        if self.state.compare_exchange(UNDER_WAY, state, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.told.notify_waiters();
        }
    }

    pub fn is_reached(&self) -> bool {
        self.state.load(Ordering::Relaxed) == DONE
    }

    /// Ready when the handshake is over: true if its client has completed it.
    pub async fn wait(&self) -> bool {
        let told = self.told.notified();
        if self.state.load(Ordering::Relaxed) == UNDER_WAY {
            told.await;
        }
        self.is_reached()
    }
}
