use std::path::PathBuf;

/// A plugin from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    pub name: String,
    pub path: PathBuf,
    pub grants: Vec<&'static str>,
    pub memory_bytes: usize,
    pub conformance: Conformance,
}

/// What a plugin is held against before it is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Conformance {
    // What must hold for every plugin of its roles; it takes about a second. No documentation: it would make a type of each.
    #[default]
    Quick,
    // Everything that `plimsoll plugin test --profile full` does. It takes some seconds.
    Full,
    Off,
}

impl Conformance {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
            Self::Off => "off",
        }
    }
}

/// A plugin with its configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginUse {
    pub plugin: String,
    pub config: serde_json::Value,
    /// JSON Pointer to `config` in the source, for mistakes that the plugin finds.
    pub pointer: String,
}
