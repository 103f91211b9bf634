use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// The bearer token that every request must carry, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Token(pub(super) Option<Arc<str>>);

/// Lets a request through when it carries the token (RFC 6750 section 2.1).
pub(super) async fn require(State(token): State<Token>, request: Request, next: Next) -> Response {
    let Some(wanted) = &token.0 else { return next.run(request).await };
    let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
    match sent {
        Some((scheme, sent)) if scheme.eq_ignore_ascii_case(b"bearer ") && same(sent, wanted.as_bytes()) => {
            next.run(request).await
        }
        _ => {
            let error = ApiError::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the admin API wants its token: `Authorization: Bearer TOKEN`",
            );
            ([(WWW_AUTHENTICATE, "Bearer")], error).into_response()
        }
    }
}

/// Compares without telling by its time how much was right.
fn same(sent: &[u8], wanted: &[u8]) -> bool {
    sent.len() == wanted.len() && sent.iter().zip(wanted).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_is_the_same() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secre", b"secret"));
        assert!(!same(b"secreT", b"secret"));
        assert!(!same(b"", b"secret"));
    }
}
