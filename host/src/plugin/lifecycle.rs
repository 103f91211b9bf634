use super::api::v0_1::plimsoll::plugin::types as wit;
use super::policy::Role;

/// What a plugin says of itself.
#[derive(Debug)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub config_schemas: Vec<(Role, String)>,
}

impl From<super::api::v0_1::exports::plimsoll::plugin::lifecycle::Manifest> for Manifest {
    fn from(manifest: super::api::v0_1::exports::plimsoll::plugin::lifecycle::Manifest) -> Self {
        Self {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            config_schemas: manifest.config_schemas.into_iter().map(|(role, schema)| (role.into(), schema)).collect(),
        }
    }
}

impl From<wit::Role> for Role {
    fn from(role: wit::Role) -> Self {
        match role {
            wit::Role::Router => Self::Router,
            wit::Role::Balancer => Self::Balancer,
            wit::Role::Affinity => Self::Affinity,
            wit::Role::Health => Self::Health,
            wit::Role::Prober => Self::Prober,
            wit::Role::Filter => Self::Filter,
            wit::Role::Partitioner => Self::Partitioner,
        }
    }
}

impl From<Role> for wit::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Router => Self::Router,
            Role::Balancer => Self::Balancer,
            Role::Affinity => Self::Affinity,
            Role::Health => Self::Health,
            Role::Prober => Self::Prober,
            Role::Filter => Self::Filter,
            Role::Partitioner => Self::Partitioner,
        }
    }
}
