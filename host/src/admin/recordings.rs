//! Recordings of plugins: begun, ended, fetched and forgotten.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::error::{ApiError, ErrorBody};
use super::query::Asked;
use crate::config::{Span, parse_size};
use crate::control::{Control, RecordingBounds, RecordingReport};

type Shared = State<Arc<Control>>;

const MOST_BYTES: u64 = 256 << 20;
const DEFAULT_BYTES: u64 = 16 << 20;
const LONGEST: Duration = Duration::from_secs(3600);
const DEFAULT_TIME: Duration = Duration::from_secs(60);

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PutRecording {
    /// Room for it, up to `256MiB`; `16MiB` if not given.
    max_bytes: Option<String>,
    /// How long it lasts, up to `1h`; `60s` if not given.
    #[param(value_type = Option<String>)]
    max_time: Option<Span>,
}

/// Begins to record what a plugin is asked and answers, as router or balancer. Nothing of it has an effect. It ends by itself when
/// its room or its time is over, and takes the place of an earlier recording. What routers see, secrets included, is in it.
#[utoipa::path(put, path = "/v1/plugins/{name}/recording", params(("name" = String, Path), PutRecording), responses(
    (status = 200, body = RecordingReport), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "The plugin is neither router nor balancer of anything, or has a candidate in shadow"),
    (status = 422, body = ErrorBody)
))]
pub(super) async fn put_recording(
    State(control): Shared,
    Path(name): Path<String>,
    Asked(how): Asked<PutRecording>,
) -> Result<Json<RecordingReport>, ApiError> {
    let bad = |message: &str| ApiError::new(StatusCode::BAD_REQUEST, "bad_query", message);
    let bytes = how.max_bytes.map_or(Some(DEFAULT_BYTES), |text| parse_size(&text));
    let bytes = bytes.filter(|bytes| (1..=MOST_BYTES).contains(bytes)).and_then(|bytes| usize::try_from(bytes).ok());
    let max_bytes = bytes.ok_or_else(|| bad("`max_bytes` is a number of bytes up to 256MiB"))?;
    let max_time = how.max_time.map_or(DEFAULT_TIME, |span| span.0);
    if max_time.is_zero() || max_time > LONGEST {
        return Err(bad("`max_time` is a time span up to 1h"));
    }
    Ok(Json(control.begin_recording(&name, RecordingBounds { max_bytes, max_time }).await?))
}

/// Ends the recording of a plugin.
#[utoipa::path(post, path = "/v1/plugins/{name}/recording/end", params(("name" = String, Path)), responses(
    (status = 200, body = RecordingReport), (status = 404, body = ErrorBody)
))]
pub(super) async fn end_recording(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<Json<RecordingReport>, ApiError> {
    Ok(Json(control.end_recording(&name).await?))
}

/// The recording of a plugin once it has ended, for `plimsoll plugin replay`: JSON, one event a line.
#[utoipa::path(get, path = "/v1/plugins/{name}/recording", params(("name" = String, Path)), responses(
    (status = 200, body = String, content_type = "application/x-ndjson"), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "It is still being recorded")
))]
pub(super) async fn recording(State(control): Shared, Path(name): Path<String>) -> Result<Response, ApiError> {
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], control.recording(&name)?).into_response())
}

/// Ends the recording of a plugin and forgets it.
#[utoipa::path(delete, path = "/v1/plugins/{name}/recording", params(("name" = String, Path)), responses(
    (status = 200, body = RecordingReport), (status = 404, body = ErrorBody)
))]
pub(super) async fn delete_recording(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<Json<RecordingReport>, ApiError> {
    Ok(Json(control.forget_recording(&name).await?))
}
