use std::fmt;
use std::sync::Arc;

/// The roles of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Router,
    Balancer,
    Partitioner,
    Affinity,
    Health,
    Prober,
    Filter,
}

impl Role {
    pub const ALL: [Self; 7] =
        [Self::Router, Self::Balancer, Self::Partitioner, Self::Affinity, Self::Health, Self::Prober, Self::Filter];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Balancer => "balancer",
            Self::Partitioner => "partitioner",
            Self::Affinity => "affinity",
            Self::Health => "health",
            Self::Prober => "prober",
            Self::Filter => "filter",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One use of a plugin in the configuration: what a policy is created from.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    pub role: Role,
    /// Name of the listener or cluster it decides for. With the role it identifies the policy across versions and
    /// reloads.
    pub scope: Arc<str>,
    /// JSON text of its configuration.
    pub config: Arc<str>,
    /// JSON Pointer to that configuration in the operator's file, for error messages.
    pub pointer: String,
    /// Clusters of the configuration, which the clusters of a router must be among.
    pub known_clusters: super::router::KnownClusters,
}

/// One mistake in a policy's configuration, as the plugin or its schema told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMistake {
    /// JSON Pointer within the policy's configuration.
    pub path: String,
    pub message: String,
}
