use std::fmt;

use super::policy::ConfigMistake;
use crate::telemetry::printable_within;

/// Of an error and its causes.
const MAX_ERROR_BYTES: usize = 8 << 10;

/// Why a policy could not be created.
#[derive(Debug)]
pub enum CreateError {
    /// The plugin has no such role.
    MissingRole,
    /// The plugin refuses the configuration, or the host what the plugin wants by it.
    Refused(Vec<ConfigMistake>),
    /// The plugin failed.
    Failed(String),
}

impl CreateError {
    pub(super) fn trapped(error: &wasmtime::Error) -> Self {
        Self::Failed(describe_error(error))
    }
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingRole => f.write_str("the plugin does not have this role"),
            Self::Refused(mistakes) => {
                let texts: Vec<String> =
                    mistakes.iter().map(|mistake| format!("{}: {}", mistake.path, mistake.message)).collect();
                write!(f, "the plugin refuses the configuration: {}", texts.join("; "))
            }
            Self::Failed(error) => write!(f, "the plugin failed: {error}"),
        }
    }
}

/// Error and causes in one line; the guest's backtrace is in it.
pub(super) fn describe_error(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    // Names of functions in it are the guest's.
    printable_within(&text.split_whitespace().collect::<Vec<_>>().join(" "), MAX_ERROR_BYTES)
}
