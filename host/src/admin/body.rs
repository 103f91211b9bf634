use std::time::{Duration, Instant};

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;

use super::error::ApiError;

/// A body of at most so many bytes. Who sends it too slowly is not waited for.
#[derive(Debug)]
pub(super) struct BoundedBytes<const LIMIT: usize>(pub(super) Vec<u8>);

/// In which nothing is asked of a body's pace.
const GRACE: Duration = Duration::from_secs(10);
/// After that, on the whole.
const BYTES_PER_SECOND: u64 = 64 << 10;

impl<S: Send + Sync, const LIMIT: usize> FromRequest<S> for BoundedBytes<LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let too_large = || {
            let message = format!("the body is larger than {LIMIT} bytes");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        };
        let mut body = request.into_body();
        let begun = Instant::now();
        let mut bytes = Vec::new();
        loop {
            let due = GRACE + Duration::from_secs(bytes.len() as u64 / BYTES_PER_SECOND);
            let left = due.saturating_sub(begun.elapsed());
            let frame = match tokio::time::timeout(left, body.frame()).await {
                Ok(None) => return Ok(Self(bytes)),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    let message = format!("the body broke off: {error}");
                    return Err(ApiError::new(StatusCode::BAD_REQUEST, "broken_body", message));
                }
                Err(_elapsed) => return Err(too_slow(bytes.len())),
            };
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > LIMIT {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
}

fn too_slow(received: usize) -> ApiError {
    let message = format!(
        "only {received} bytes of the body came in time; after {} s it takes {BYTES_PER_SECOND} bytes a second",
        GRACE.as_secs()
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message)
}
