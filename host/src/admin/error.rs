use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::config::ConfigErrors;
use crate::control::{AmendError, ApplyError, Broken, CertificateError, PatchError, PluginError, Refusal};

/// What a refused request gets.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct ErrorBody {
    /// Short and stable, for programs.
    pub(super) code: String,
    /// For people.
    pub(super) message: String,
    /// Each mistake on its own, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<Refusal>,
}

#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { code: code.to_owned(), message: message.into(), errors: Vec::new() } }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Of a text that was read with all its mistakes.
    pub(super) fn invalid(code: &str, errors: ConfigErrors) -> Self {
        let mut api = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, errors.to_string());
        let refusal = |error: crate::config::ConfigError| Refusal {
            path: error.path,
            message: format!("line {}, column {}: {}", error.line, error.column, error.message),
        };
        api.body.errors = errors.errors.into_iter().map(refusal).collect();
        api
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<ApplyError> for ApiError {
    fn from(error: ApplyError) -> Self {
        let (status, code) = match &error {
            ApplyError::Config(errors) => return Self::invalid("invalid_config", errors.clone()),
            ApplyError::Bind { .. } => (StatusCode::CONFLICT, "bind_failed"),
            ApplyError::NoSuchVersion(_) => (StatusCode::NOT_FOUND, "no_such_version"),
            ApplyError::Outdated { .. } => (StatusCode::PRECONDITION_FAILED, "outdated"),
            ApplyError::NoFile => (StatusCode::CONFLICT, "no_file"),
            ApplyError::NotKept(_) => (StatusCode::CONFLICT, "not_kept"),
            ApplyError::WorkerGone | ApplyError::Panicked(_) | ApplyError::Engine(_) | ApplyError::Save { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<PluginError> for ApiError {
    fn from(error: PluginError) -> Self {
        let status = match &error {
            PluginError::Load(_)
            | PluginError::Signature(_)
            | PluginError::Refused(_)
            | PluginError::Unsound(_)
            | PluginError::OutOfTime(_) => StatusCode::UNPROCESSABLE_ENTITY,
            PluginError::BadName => StatusCode::BAD_REQUEST,
            PluginError::Unknown(_)
            | PluginError::NoSuchVersion { .. }
            | PluginError::NoShadow(_)
            | PluginError::NoRecording(_) => StatusCode::NOT_FOUND,
            PluginError::NothingEarlier(_)
            | PluginError::InUse { .. }
            | PluginError::NothingUploaded { .. }
            | PluginError::NothingToShadow(_)
            | PluginError::IsLive(_)
            | PluginError::IsAccompanied(_)
            | PluginError::IsRecorded(_)
            | PluginError::Busy
            | PluginError::NotStarted => StatusCode::CONFLICT,
            PluginError::WorkerGone | PluginError::Panicked(_) | PluginError::NotKept(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let mut api = Self::new(status, error.code(), error.to_string());
        match error {
            PluginError::Refused(refusals) => api.body.errors = refusals,
            PluginError::Unsound(broken) => {
                // Not about a place in the configuration.
                let refusal = |broken: Broken| Refusal { path: String::new(), message: broken.message };
                api.body.errors = broken.into_iter().map(refusal).collect();
            }
            _ => {}
        }
        api
    }
}

impl From<AmendError> for ApiError {
    fn from(error: AmendError) -> Self {
        let (status, code) = match &error {
            AmendError::UnknownCluster(_) | AmendError::UnknownEndpoint { .. } => {
                return Self::not_found(error.to_string());
            }
            AmendError::Exists { .. } => (StatusCode::CONFLICT, "endpoint_exists"),
            AmendError::OneAddress { .. } => (StatusCode::CONFLICT, "one_address"),
            AmendError::Discovered { .. } => (StatusCode::CONFLICT, "discovered"),
            AmendError::NotKept => (StatusCode::CONFLICT, "not_kept"),
            AmendError::Save { .. } | AmendError::Panicked(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<CertificateError> for ApiError {
    fn from(error: CertificateError) -> Self {
        let (status, code) = match &error {
            CertificateError::BadName => (StatusCode::BAD_REQUEST, "bad_name"),
            CertificateError::Unusable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unusable_certificate"),
            CertificateError::TooMany => (StatusCode::CONFLICT, "too_many"),
            CertificateError::Unknown(_) | CertificateError::NotOrdered(_) => {
                return Self::not_found(error.to_string());
            }
            CertificateError::Save { .. } | CertificateError::Panicked(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::UnknownCluster(_) | PatchError::UnknownEndpoint(_) => Self::not_found(error.to_string()),
            PatchError::Weight(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_weight", error.to_string()),
        }
    }
}
