//! Keeps what is to be remembered of endpoints, and recalls it at the start.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::cluster::ClusterState;
use super::member::{HealthState, Member};
use super::remembered::{Remembered, RememberedEndpoint, unix_ms};
use crate::control::beside::beside;
use crate::control::state::Control;
use crate::io::replace_file;
use crate::plugin::Evidence;

/// The file is written no more often than this.
const PAUSE: Duration = Duration::from_secs(1);
/// Nor less often, while it says that somebody is out, which is only believed for a time.
const RENEWAL: Duration = Duration::from_secs(60);
/// Who becomes a member later is not one that there was before the start.
const RECALLED_FOR: Duration = Duration::from_secs(60);

impl Control {
    /// Recalls what was kept of endpoints, and keeps there what becomes of them.
    pub fn open_state(self: &Arc<Self>, path: &Path) {
        self.lock().membership.recall(Remembered::read(path));
        // Nothing else runs yet, so nobody has set it.
        if self.remembering.path.set(path.to_owned()).is_ok() {
            tokio::spawn(keep(Arc::downgrade(self)));
        }
    }

    /// Writes the state of endpoints as it is now, if it is kept at all.
    pub async fn keep_state(&self) {
        self.write_state(None).await;
    }

    /// The same, unless it says what was written last. Answers what is written then.
    async fn write_state(&self, last: Option<&Remembered>) -> Option<Remembered> {
        let path = self.remembering.path.get()?.clone();
        let now = remembered(self.lock().clusters.values());
        let is_new = last.is_none_or(|last| last.clusters != now.clusters);
        // Nothing is written before there is something to keep.
        let is_nothing = now.clusters.is_empty() && !path.exists();
        if is_nothing || (!is_new && !now.says_who_is_out()) {
            return Some(now);
        }
        let (shown, text) = (path.display().to_string(), serde_json::to_string_pretty(&now).unwrap_or_default());
        match beside("writing the state of endpoints", move || replace_file(&path, format!("{text}\n").as_bytes()))
            .await
        {
            Ok(Ok(())) => Some(now),
            Ok(Err(error)) => {
                tracing::error!("keeping the state of endpoints in {shown} failed: {error}");
                None
            }
            Err(panicked) => {
                tracing::error!("keeping the state of endpoints in {shown} failed: {panicked}");
                None
            }
        }
    }
}

async fn keep(control: Weak<Control>) {
    let mut last = None;
    let mut recalls_until = Some(tokio::time::Instant::now() + RECALLED_FOR);
    while let Some(strong) = control.upgrade() {
        // Within that time, or when something changes.
        let _ = tokio::time::timeout(RENEWAL, strong.remembering.changed.notified()).await;
        if recalls_until.is_some_and(|until| until <= tokio::time::Instant::now()) {
            recalls_until = None;
            strong.lock().membership.recall(Remembered::default());
        }
        last = strong.write_state(last.as_ref()).await;
        drop(strong);
        tokio::time::sleep(PAUSE).await;
    }
}

fn remembered<'a>(clusters: impl Iterator<Item = &'a ClusterState>) -> Remembered {
    let endpoints = |cluster: &ClusterState| -> BTreeMap<String, RememberedEndpoint> {
        let members = cluster.members.iter();
        members.filter_map(|member| Some((member.id().to_owned(), endpoint(member)?))).collect()
    };
    let clusters = clusters.map(|cluster| (cluster.config.name.clone(), endpoints(cluster)));
    Remembered {
        written_unix_ms: unix_ms(),
        clusters: clusters.filter(|(_, endpoints)| !endpoints.is_empty()).collect(),
    }
}

/// None when there is nothing to say.
fn endpoint(member: &Member) -> Option<RememberedEndpoint> {
    let unhealthy = match &member.health {
        // One that has not been probed yet is as new.
        HealthState::Unhealthy { evidence: Evidence::Probe, reason } if member.was_probed() => Some(reason.clone()),
        _ => None,
    };
    let says_something = member.weight.is_some()
        || member.draining
        || member.disabled
        || !member.wishes.is_empty()
        || unhealthy.is_some();
    says_something.then_some(RememberedEndpoint {
        address: member.address,
        weight: member.weight,
        configured_weight: member.config.weight,
        draining: member.draining,
        disabled: member.disabled,
        wishes: member.wishes,
        unhealthy,
    })
}
