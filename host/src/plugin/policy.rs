use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

macro_rules! roles {
    ($($role:ident = $name:literal,)+) => {
        /// The roles of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Role {
            $($role,)+
        }

        impl Role {
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$role),+];

            /// The role of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|role| role.as_str() == name)
            }

            /// Its name, which is that of its interface, too.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$role => $name,)+
                }
            }
        }
    };
}

roles! {
    Router = "router",
    Balancer = "balancer",
    Partitioner = "partitioner",
    Affinity = "affinity",
    Health = "health",
    Prober = "prober",
    Discovery = "discovery",
    Filter = "filter",
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
    pub known_clusters: KnownClusters,
    /// A router's: it decides for TCP connections, and not for requests.
    pub of_connections: bool,
}

/// Clusters of the configuration by name, each with its position. Those of a router must be among them.
pub type KnownClusters = Arc<HashMap<Arc<str>, u32>>;

/// One mistake in a policy's configuration, as the plugin or its schema told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMistake {
    /// JSON Pointer within the policy's configuration.
    pub path: String,
    pub message: String,
}
