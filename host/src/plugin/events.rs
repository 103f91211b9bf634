use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast::{self, Receiver, Sender};

use super::fault::FaultReport;

/// Events that a listener may be behind.
const BACKLOG: usize = 1024;

/// What plugins say and how they fail, to whoever listens at that moment. While nobody does, it costs the reading of a
/// number.
#[derive(Debug)]
pub(super) struct Events {
    sender: Sender<PluginEvent>,
    listeners: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
pub enum PluginEvent {
    Message { at_unix_ms: u64, plugin: Arc<str>, level: &'static str, message: String },
    Fault { plugin: Arc<str>, fault: FaultReport },
}

/// One that listens, until it is dropped.
#[derive(Debug)]
pub struct PluginEvents {
    pub receiver: Receiver<PluginEvent>,
    listeners: Arc<AtomicUsize>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG), listeners: Arc::default() }
    }
}

impl Events {
    pub(super) fn listen(&self) -> PluginEvents {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        PluginEvents { receiver: self.sender.subscribe(), listeners: self.listeners.clone() }
    }

    pub(super) fn tell(&self, event: impl FnOnce() -> PluginEvent) {
        if self.listeners.load(Ordering::Relaxed) > 0 {
            // The last one may have gone meanwhile.
            let _ = self.sender.send(event());
        }
    }
}

impl Drop for PluginEvents {
    fn drop(&mut self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}
