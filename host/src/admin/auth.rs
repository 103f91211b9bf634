use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use utoipa::ToSchema as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, OpenApi, Ref, ResponseBuilder};

use super::error::{ApiError, ErrorBody};

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

/// Says of every operation that it wants the token.
pub(super) fn document(document: &mut OpenApi) {
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_with(Components::new).add_security_scheme("bearer", scheme);
    let body = Content::new(Some(Ref::from_schema_name(ErrorBody::name())));
    let refusal = ResponseBuilder::new().description("Without the token").content("application/json", body).build();
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            operation.security = Some(vec![SecurityRequirement::new("bearer", Vec::<String>::new())]);
            operation.responses.responses.insert("401".to_owned(), refusal.clone().into());
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
