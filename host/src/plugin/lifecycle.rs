use super::api::v0_2::exports::plimsoll::plugin::lifecycle as wit;

/// What a plugin says of itself.
#[derive(Debug)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// By the names of roles.
    pub config_schemas: Vec<(String, String)>,
    /// What it claims to be, for the conformance suite: `profiles`, with commas between.
    pub profiles: Vec<String>,
    /// Names of what it says besides, none of which the host knows.
    pub(super) more: Vec<String>,
}

impl From<wit::Manifest> for Manifest {
    fn from(manifest: wit::Manifest) -> Self {
        let (profiles, more): (Vec<_>, Vec<_>) = manifest.more.into_iter().partition(|(name, _)| name == "profiles");
        Self {
            name: manifest.name,
            version: manifest.version,
            summary: manifest.summary,
            config_schemas: manifest.config_schemas,
            profiles: profiles
                .iter()
                .flat_map(|(_, names)| names.split(','))
                .filter(|name| !name.is_empty())
                .map(ToOwned::to_owned)
                .collect(),
            more: more.into_iter().map(|(name, _)| name).collect(),
        }
    }
}
