//! Recordings: what a plugin is asked and answers on live traffic, written down to be played to any version of it.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use super::error::PluginError;
use super::recordings::{Recording, RecordingBounds, RecordingReport, RecordingState};
use crate::control::beside::beside;
use crate::control::state::Control;
use crate::plugin::{RECORDING_FORMAT, Recorded, RecordingEvent};
use crate::worker::Command;

/// How often it is looked at whether a recording is over.
const LOOK: Duration = Duration::from_millis(200);
/// How long workers may take to hand over the rest.
const LOOKS_FOR_THE_REST: u32 = 50;

impl Control {
    /// Begins to record a plugin: beside each of its instances stands another one of the same version, which begins with what the
    /// live one has saved, is told and asked the same, and sees nothing but what is written down. Takes the place of an earlier
    /// recording.
    pub async fn begin_recording(
        self: &Arc<Self>,
        name: &str,
        bounds: RecordingBounds,
    ) -> Result<RecordingReport, PluginError> {
        let _one_at_a_time = self.changing.lock().await;
        let live = {
            let state = self.lock();
            let entry = state.plugins.get(name).ok_or_else(|| PluginError::Unknown(name.to_owned()))?;
            if state.shadows.running(name).is_some() || state.recordings.is_running(name) {
                return Err(PluginError::IsAccompanied(name.to_owned()));
            }
            entry.live.clone().ok_or_else(|| PluginError::NothingToShadow(name.to_owned()))?
        };
        if !self.is_shadowed(name) {
            return Err(PluginError::NothingToShadow(name.to_owned()));
        }
        let making = {
            let (control, name, witness) = (self.clone(), name.to_owned(), Arc::new(live.as_candidate()));
            beside("preparing the recording", move || control.make_witnesses(&name, &witness))
        };
        let made = making.await?.map_err(PluginError::from)?;
        let recording = Arc::new(Recording {
            plugin: live,
            bounds,
            since_unix_seconds: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            recorded: Arc::new(Recorded::new(bounds.max_bytes)),
            mark: Arc::default(),
            ended: std::sync::OnceLock::new(),
        });
        self.lock().recordings.put(name, recording.clone());
        self.send_witnesses(made, &recording.mark, &recording.recorded).await;
        tracing::info!(
            target: "audit",
            plugin = name,
            digest = recording.plugin.digest,
            max_bytes = bounds.max_bytes,
            max_seconds = bounds.max_time.as_secs(),
            "plugin is being recorded"
        );
        tokio::spawn(watch(Arc::downgrade(self), Arc::downgrade(&recording)));
        Ok(recording.report())
    }

    /// Ends the recording of a plugin, unless it has ended already. Answers how it is.
    pub async fn end_recording(&self, name: &str) -> Result<RecordingReport, PluginError> {
        let recording = self.recording_of(name)?;
        self.end(&recording, RecordingState::Ended).await;
        Ok(recording.report())
    }

    /// Ends the recording of a plugin and forgets it.
    pub async fn forget_recording(&self, name: &str) -> Result<RecordingReport, PluginError> {
        let recording = self.recording_of(name)?;
        self.end(&recording, RecordingState::Ended).await;
        self.lock().recordings.forget(name, &recording);
        Ok(recording.report())
    }

    /// The recording of a plugin, once it has ended.
    pub fn recording(&self, name: &str) -> Result<Vec<u8>, PluginError> {
        let recording = self.recording_of(name)?;
        if recording.ended.get().is_none() || recording.recorded.is_open() {
            return Err(PluginError::IsRecorded(name.to_owned()));
        }
        let head = RecordingEvent::Recording {
            format: RECORDING_FORMAT,
            plugin: recording.plugin.name.to_string(),
            version: recording.plugin.version.clone(),
            digest: recording.plugin.digest.clone(),
        };
        let mut text = serde_json::to_vec(&head).unwrap_or_default();
        text.push(b'\n');
        text.extend(recording.recorded.to_bytes());
        Ok(text)
    }

    pub(in crate::control) fn recording_report(&self, name: &str) -> Option<RecordingReport> {
        self.lock().recordings.get(name).map(|recording| recording.report())
    }

    fn recording_of(&self, name: &str) -> Result<Arc<Recording>, PluginError> {
        let found = self.lock().recordings.get(name).cloned();
        found.ok_or_else(|| PluginError::NoRecording(name.to_owned()))
    }

    async fn end(&self, recording: &Recording, why: RecordingState) {
        if recording.ended.set(why).is_err() {
            return;
        }
        self.send_to_workers(|| Command::EndShadow(recording.mark.clone()));
        let mut looks = 0;
        while recording.recorded.is_open() && looks < LOOKS_FOR_THE_REST {
            tokio::time::sleep(LOOK / 10).await;
            looks += 1;
        }
        let report = recording.report();
        tracing::info!(
            target: "audit",
            plugin = &*recording.plugin.name,
            decisions = report.decisions,
            state = ?report.state,
            "plugin is no longer recorded"
        );
    }
}

/// Ends a recording that is full, or whose time is over.
async fn watch(control: Weak<Control>, recording: Weak<Recording>) {
    let mut waited = Duration::ZERO;
    loop {
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
        let (Some(control), Some(recording)) = (control.upgrade(), recording.upgrade()) else { return };
        if recording.ended.get().is_some() {
            return;
        }
        if recording.recorded.is_full() {
            return control.end(&recording, RecordingState::Full).await;
        }
        if waited >= recording.bounds.max_time {
            return control.end(&recording, RecordingState::TimedOut).await;
        }
    }
}
