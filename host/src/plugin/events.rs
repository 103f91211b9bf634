use std::sync::Arc;

use tokio::sync::broadcast::{self, Receiver, Sender};

use super::fault::FaultReport;

/// Events that a listener may be behind.
const BACKLOG: usize = 1024;

/// What plugins say and how they fail, to whoever listens at that moment.
#[derive(Debug)]
pub(super) struct Events(Sender<PluginEvent>);

#[derive(Clone, Debug)]
pub enum PluginEvent {
    Message { at_unix_ms: u64, plugin: Arc<str>, level: &'static str, message: String },
    Fault { plugin: Arc<str>, fault: FaultReport },
}

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Events {
    pub(super) fn listen(&self) -> Receiver<PluginEvent> {
        self.0.subscribe()
    }

    /// While nobody listens, no event is made: messages are not copied for nothing. Both come seldom enough for the lock that is
    /// taken to find out.
    pub(super) fn tell(&self, event: impl FnOnce() -> PluginEvent) {
        if self.0.receiver_count() > 0 {
            // The last one may have gone meanwhile.
            let _ = self.0.send(event());
        }
    }
}
