use std::time::SystemTime;

use tokio::sync::broadcast;

use super::cluster::ClusterState;
use super::member::{HealthState, Member};
use crate::plugin::{Evidence, FaultReport, PluginEvent};

/// Events that a listener may be behind; of those before, it hears how many there were.
const BACKLOG: usize = 1024;

/// What changes about clusters and plugins, to whoever listens at that moment.
#[derive(Clone, Debug)]
pub(in crate::control) struct Events(broadcast::Sender<Event>);

/// What happens to clusters and plugins, at the moment of it.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The evaluator has changed its opinion of an endpoint.
    Health(EndpointEvent),
    /// An operator has changed an endpoint: its weight, whether it drains, whether it is enabled.
    Administration(EndpointEvent),
    /// Requests begin or end to go to endpoints that are not healthy.
    Panic { at_unix_ms: u64, cluster: String, panic: bool },
    /// A plugin has said something, which is in the log.
    Message { at_unix_ms: u64, plugin: String, level: String, message: String },
    /// A plugin has failed.
    Fault {
        plugin: String,
        #[serde(flatten)]
        fault: FaultReport,
    },
    /// A version of a plugin decides beside the live one without effect (`running`), or does so no more: why, is its state.
    Shadow {
        at_unix_ms: u64,
        plugin: String,
        state: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        version: String,
        digest: String,
    },
}

impl From<PluginEvent> for Event {
    fn from(event: PluginEvent) -> Self {
        match event {
            PluginEvent::Message { at_unix_ms, plugin, level, message } => {
                Self::Message { at_unix_ms, plugin: plugin.to_string(), level: level.to_owned(), message }
            }
            PluginEvent::Fault { plugin, fault } => Self::Fault { plugin: plugin.to_string(), fault },
        }
    }
}

/// An endpoint as it is from now on.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct EndpointEvent {
    pub at_unix_ms: u64,
    pub cluster: String,
    pub endpoint: String,
    pub address: String,
    /// `ready`, `draining` or `unavailable`.
    pub availability: String,
    /// `healthy` or `unhealthy`.
    pub health: String,
    /// What it is unhealthy by: `probe` or `traffic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub weight: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Events {
    pub(in crate::control) fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    pub(in crate::control) fn tell(&self, event: Event) {
        // Nobody need listen.
        let _ = self.0.send(event);
    }
}

impl Event {
    /// The word for what it is about.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Health(_) => "health",
            Self::Administration(_) => "administration",
            Self::Panic { .. } => "panic",
            Self::Message { .. } => "message",
            Self::Fault { .. } => "fault",
            Self::Shadow { .. } => "shadow",
        }
    }

    pub(in crate::control) fn panic(cluster: &ClusterState) -> Self {
        Self::Panic { at_unix_ms: now(), cluster: cluster.config.name.clone(), panic: cluster.panics() }
    }
}

impl EndpointEvent {
    pub(in crate::control) fn of(cluster: &ClusterState, member: &Member) -> Self {
        let (health, evidence, reason) = match &member.health {
            HealthState::Healthy => ("healthy", None, None),
            HealthState::Unhealthy { evidence, reason } => {
                let evidence = match evidence {
                    Evidence::Probe => "probe",
                    Evidence::Traffic => "traffic",
                };
                ("unhealthy", Some(evidence.to_owned()), Some(reason.clone()))
            }
        };
        Self {
            at_unix_ms: now(),
            cluster: cluster.config.name.clone(),
            endpoint: member.id().to_owned(),
            address: member.address.to_string(),
            availability: cluster.availability(member).as_str().to_owned(),
            health: health.to_owned(),
            evidence,
            reason,
            weight: member.effective_weight(),
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
