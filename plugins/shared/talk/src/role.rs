use plimsoll_sdk::JsonSchema;
use serde::Deserialize;

/// What a server of data has to be for the probe to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Either will do.
    #[default]
    Any,
    /// It takes writes.
    Primary,
    /// It follows a primary, and takes none.
    Replica,
}
