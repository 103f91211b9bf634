use super::api::v0_2::exports::plimsoll::plugin::lifecycle as wit;

/// What a plugin says of itself.
#[derive(Debug)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// By the names of roles.
    pub config_schemas: Vec<(String, String)>,
    /// Names of what it says besides, none of which the host knows.
    pub(super) more: Vec<String>,
}

impl From<wit::Manifest> for Manifest {
    fn from(manifest: wit::Manifest) -> Self {
        Self {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            config_schemas: manifest.config_schemas,
            more: manifest.more.into_iter().map(|(name, _)| name).collect(),
        }
    }
}
