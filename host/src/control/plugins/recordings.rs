use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::plugin::{Differences, Plugin, Recorded};

/// Recordings by the names of their plugins, the last one of each.
#[derive(Debug, Default)]
pub(in crate::control) struct Recordings(BTreeMap<Arc<str>, Arc<Recording>>);

/// The bounds of a recording.
#[derive(Clone, Copy, Debug)]
pub struct RecordingBounds {
    pub max_bytes: usize,
    pub max_time: Duration,
}

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) plugin: Arc<Plugin>,
    pub(super) bounds: RecordingBounds,
    pub(super) since_unix_seconds: u64,
    pub(super) recorded: Arc<Recorded>,
    /// What it is known by on workers.
    pub(super) mark: Arc<Differences>,
    pub(super) ended: OnceLock<RecordingState>,
}

/// How the recording of a plugin is.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct RecordingReport {
    pub state: RecordingState,
    pub version: String,
    /// SHA-256 of the component that is recorded.
    pub digest: String,
    pub since_unix_seconds: u64,
    pub max_bytes: usize,
    pub max_seconds: u64,
    pub decisions: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    Running,
    /// Somebody has ended it.
    Ended,
    /// There was no room for more.
    Full,
    /// Its time was over.
    TimedOut,
}

impl Recordings {
    pub(super) fn get(&self, plugin: &str) -> Option<&Arc<Recording>> {
        self.0.get(plugin)
    }

    pub(super) fn put(&mut self, plugin: &str, recording: Arc<Recording>) {
        self.0.insert(plugin.into(), recording);
    }

    /// Unless another one has taken its place.
    pub(super) fn forget(&mut self, plugin: &str, recording: &Arc<Recording>) {
        if self.0.get(plugin).is_some_and(|now| Arc::ptr_eq(now, recording)) {
            self.0.remove(plugin);
        }
    }

    pub(super) fn is_running(&self, plugin: &str) -> bool {
        self.0.get(plugin).is_some_and(|recording| recording.ended.get().is_none())
    }
}

impl Recording {
    pub(super) fn report(&self) -> RecordingReport {
        RecordingReport {
            state: self.ended.get().copied().unwrap_or(RecordingState::Running),
            version: self.plugin.version.clone(),
            digest: self.plugin.digest.clone(),
            since_unix_seconds: self.since_unix_seconds,
            max_bytes: self.bounds.max_bytes,
            max_seconds: self.bounds.max_time.as_secs(),
            decisions: self.recorded.decisions(),
        }
    }
}
