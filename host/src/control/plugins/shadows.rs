use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::conditions::{Conditions, ShadowDecisions};
use super::version::Upload;
use crate::plugin::{Difference, Differences, FaultReport, Plugin, Role};
use crate::telemetry::ShadowEnd;
use crate::worker::InstanceNumber;

/// Candidates by the names of their plugins, one each, and what came of those that are over.
#[derive(Debug, Default)]
pub(in crate::control) struct Shadows(BTreeMap<Arc<str>, Shadow>);

#[derive(Debug)]
pub(super) enum Shadow {
    Running(Box<Running>),
    Ended(Box<ShadowReport>),
}

/// A candidate that decides beside the live version.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) upload: Upload,
    /// Under the name of a candidate.
    pub(super) candidate: Arc<Plugin>,
    /// Digest of the version that it stands beside.
    pub(super) live: String,
    pub(super) differences: Arc<Differences>,
    pub(super) beside: BTreeSet<InstanceNumber>,
    pub(super) conditions: Conditions,
    /// Why it is to be promoted, when its conditions say so.
    pub(super) promotion: Option<String>,
    pub(super) since_unix_seconds: u64,
    /// The same, for spans of time.
    pub(super) since: Instant,
    /// Calls of the live version that were timed, and their seconds, when it began.
    pub(super) live_before: BTreeMap<Role, (u64, f64)>,
}

/// How a candidate does, or did, beside the live version of a plugin.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ShadowReport {
    pub state: ShadowState,
    /// In words, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub conditions: Conditions,
    pub version: String,
    /// SHA-256 of the candidate's component.
    pub digest: String,
    /// SHA-256 of that of the version that it stands beside.
    pub live_digest: String,
    pub since_unix_seconds: u64,
    /// Address of the client that has sent it.
    pub by: String,
    /// By role.
    pub roles: BTreeMap<String, ShadowRole>,
    /// Calls that it did not survive and answers that were not valid, by kind.
    pub faults: BTreeMap<String, u64>,
    /// The last ones in words, the oldest first.
    pub recent_faults: Vec<FaultReport>,
    /// Some of the differences, the oldest first.
    pub differences: Vec<Difference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShadowState {
    Running,
    /// It is the live version now.
    Promoted,
    Deleted,
    /// It has failed too often.
    Faulty,
    /// Its conditions were not met.
    Aborted,
    /// Another version became live.
    Superseded,
    /// The configuration that is live now does not work with it, or does not use the plugin any more.
    Unfit,
}

impl ShadowState {
    /// What it is counted as when it is over.
    pub(super) fn end(self) -> Option<ShadowEnd> {
        match self {
            Self::Running => None,
            Self::Promoted => Some(ShadowEnd::Promoted),
            Self::Deleted => Some(ShadowEnd::Deleted),
            Self::Faulty => Some(ShadowEnd::Faulty),
            Self::Aborted => Some(ShadowEnd::Aborted),
            Self::Superseded => Some(ShadowEnd::Superseded),
            Self::Unfit => Some(ShadowEnd::Unfit),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        self.end().map_or("running", ShadowEnd::as_str)
    }
}

#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ShadowRole {
    pub decisions: ShadowDecisions,
    /// Mean time of a call in microseconds since the shadow began; none while none was timed.
    pub live_call_us: Option<f64>,
    pub candidate_call_us: Option<f64>,
}

impl Shadows {
    /// What candidates are counted under that decide now.
    pub(in crate::control) fn candidate_names(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter_map(|shadow| match shadow {
            Shadow::Running(running) => Some(&*running.candidate.name),
            Shadow::Ended(_) => None,
        })
    }

    pub(super) fn get(&self, plugin: &str) -> Option<&Shadow> {
        self.0.get(plugin)
    }

    pub(super) fn running(&self, plugin: &str) -> Option<&Running> {
        match self.0.get(plugin) {
            Some(Shadow::Running(running)) => Some(running),
            Some(Shadow::Ended(_)) | None => None,
        }
    }

    pub(super) fn all_running(&self) -> Vec<Arc<str>> {
        let running = self.0.iter().filter(|(_, shadow)| matches!(shadow, Shadow::Running(_)));
        running.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn put(&mut self, plugin: &str, shadow: Shadow) {
        self.0.insert(plugin.into(), shadow);
    }

    /// Notes that the conditions of a candidate say that it is to be promoted, and why.
    pub(super) fn is_to_be_promoted(&mut self, plugin: &str, reason: String) {
        if let Some(Shadow::Running(running)) = self.0.get_mut(plugin) {
            running.promotion = Some(reason);
        }
    }

    /// Notes the instances that a candidate stands beside now.
    pub(super) fn stands_beside(&mut self, plugin: &str, beside: BTreeSet<InstanceNumber>) {
        if let Some(Shadow::Running(running)) = self.0.get_mut(plugin) {
            running.beside = beside;
        }
    }
}
