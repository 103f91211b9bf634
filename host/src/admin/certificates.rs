use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::body::BoundedBytes;
use super::error::{ApiError, ErrorBody};
use crate::control::{CertificateReport, Control};

type Shared = State<Arc<Control>>;

/// Largest chain with its key that is taken.
const BYTES: usize = 320 << 10;

/// All certificates that listeners have or could have, without their keys.
#[utoipa::path(get, path = "/v1/certificates", responses((status = 200, body = Vec<CertificateReport>)))]
pub(super) async fn list(State(control): Shared) -> Json<Vec<CertificateReport>> {
    Json(control.certificates())
}

/// Takes a certificate, those that lead from it to its root, and its key, in PEM. Every listener with TLS offers it from now
/// on for the names that it is for, unless its configuration says otherwise. In the place of one of the same name.
#[utoipa::path(put, path = "/v1/certificates/{name}", params(("name" = String, Path)),
    request_body(content = String, content_type = "application/x-pem-file"), responses(
    (status = 200, body = CertificateReport),
    (status = 400, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "There are as many as may be"),
    (status = 413, body = ErrorBody),
    (status = 422, body = ErrorBody, description = "It cannot be used, and why; nothing has changed")
))]
pub(super) async fn put(
    State(control): Shared,
    Path(name): Path<String>,
    body: BoundedBytes<BYTES>,
) -> Result<Json<CertificateReport>, ApiError> {
    Ok(Json(control.put_certificate(&name, body.0).await?))
}

/// Orders a certificate now that the proxy orders by itself (ACME), without waiting for its time or for the next try. `name` is
/// what it is called in the list.
#[utoipa::path(post, path = "/v1/certificates/{name}/renew", params(("name" = String, Path)), responses(
    (status = 202, body = CertificateReport, description = "It is being ordered; the list says what comes of it"),
    (status = 404, body = ErrorBody)
))]
pub(super) async fn renew(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<CertificateReport>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(control.renew_certificate(&name)?)))
}

/// Forgets a certificate that was uploaded, also on disk. Connections that were made with it go on.
#[utoipa::path(delete, path = "/v1/certificates/{name}", params(("name" = String, Path)), responses(
    (status = 204), (status = 404, body = ErrorBody)
))]
pub(super) async fn remove(State(control): Shared, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    control.remove_certificate(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
