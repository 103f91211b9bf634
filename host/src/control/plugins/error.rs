use super::gate::Broken;
use super::signature::SignatureError;
use super::store::StoreError;
use crate::control::beside::Panicked;
use crate::control::mistake::Mistake;
use crate::plugin::LoadError;

/// Why a version of a plugin did not become live. The one that was live still is.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    #[error("{0}")]
    Load(#[from] LoadError),
    #[error("{0}")]
    Signature(#[from] SignatureError),
    #[error("plugin name must be of the form [a-z][a-z0-9-]{{0,63}}")]
    BadName,
    #[error("{} of its uses in the configuration do not work with it", .0.len())]
    Refused(Vec<Refusal>),
    #[error("it is not sound, by {}", .0.iter().map(|broken| broken.id).collect::<Vec<_>>().join(", "))]
    Unsound(Vec<Broken>),
    #[error("it could not be looked at whole in time, without {0}; `conformance=off` takes it all the same")]
    OutOfTime(String),
    #[error("{0}, so it would be gone at the next start; `plugins_dir` says where uploads are kept")]
    NotKept(String),
    #[error("the configuration changes all the time; nothing has changed here, try again")]
    Busy,
    #[error("no plugin of the name `{0}`")]
    Unknown(String),
    #[error("plugin `{0}` has no earlier version")]
    NothingEarlier(String),
    #[error(
        "plugin `{name}` is used ({uses}): take it out of the configuration first, or go back to another version by \
         `POST /v1/plugins/{name}/rollback`"
    )]
    InUse { name: String, uses: String },
    #[error("nothing was uploaded as plugin `{name}`, which comes {from}")]
    NothingUploaded { name: String, from: &'static str },
    #[error("plugin `{0}` is used as router or balancer by nothing, and a candidate decides as these only")]
    NothingToShadow(String),
    #[error("this version of plugin `{0}` is the live one")]
    IsLive(String),
    #[error("plugin `{0}` has no candidate in shadow")]
    NoShadow(String),
    #[error(
        "plugin `{0}` has a candidate in shadow or is being recorded, and there is room for one of both: end that first"
    )]
    IsAccompanied(String),
    #[error("plugin `{0}` is still being recorded: end that, or wait")]
    IsRecorded(String),
    #[error("plugin `{0}` has no recording")]
    NoRecording(String),
    #[error("no configuration is live yet")]
    NotStarted,
    #[error("plugin `{name}` has no version `{version}` to go back to")]
    NoSuchVersion { name: String, version: String },
    #[error("a worker has ended")]
    WorkerGone,
    #[error("{0}")]
    Panicked(#[from] Panicked),
}

impl From<StoreError> for PluginError {
    fn from(error: StoreError) -> Self {
        Self::NotKept(error.to_string())
    }
}

/// A use of a plugin that a new version of it does not serve.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Refusal {
    /// JSON Pointer into the configuration.
    pub path: String,
    pub message: String,
}

impl PluginError {
    /// With each of the uses that do not work with it.
    pub(super) fn told_whole(&self) -> String {
        match self {
            Self::Refused(refusals) => {
                refusals.iter().map(|refusal| refusal.message.as_str()).collect::<Vec<_>>().join("; ")
            }
            other => other.to_string(),
        }
    }

    /// Short name for the admin API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Load(error) => error.code(),
            Self::Signature(SignatureError::Missing) => "unsigned",
            Self::Signature(_) => "bad_signature",
            Self::BadName => "bad_name",
            Self::Refused(_) => "refused",
            Self::Unsound(_) => "unsound",
            Self::OutOfTime(_) => "out_of_time",
            Self::NotKept(_) => "not_kept",
            Self::Busy => "busy",
            Self::Unknown(_) => "unknown_plugin",
            Self::NothingEarlier(_) => "nothing_earlier",
            Self::InUse { .. } => "in_use",
            Self::NothingUploaded { .. } => "nothing_uploaded",
            Self::NothingToShadow(_) => "nothing_to_shadow",
            Self::IsLive(_) => "is_live",
            Self::NoShadow(_) => "no_shadow",
            Self::IsAccompanied(_) => "is_accompanied",
            Self::IsRecorded(_) => "is_recorded",
            Self::NoRecording(_) => "no_recording",
            Self::NotStarted => "not_started",
            Self::NoSuchVersion { .. } => "no_such_version",
            Self::WorkerGone => "worker_gone",
            Self::Panicked(_) => "internal",
        }
    }
}

impl From<Vec<Mistake>> for PluginError {
    fn from(mistakes: Vec<Mistake>) -> Self {
        let refusal = |mistake: Mistake| Refusal { path: mistake.pointer, message: mistake.message };
        Self::Refused(mistakes.into_iter().map(refusal).collect())
    }
}
