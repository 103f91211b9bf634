use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use utoipa::ToSchema as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, OpenApi, Ref, ResponseBuilder};

use super::error::{ApiError, ErrorBody};
use super::peer::Peer;
use crate::telemetry::{AdminRefusal, Registry};

/// The bearer token that every request must carry, if there is one, and how often it was a wrong one.
#[derive(Clone, Debug)]
pub(super) struct Token {
    wanted: Option<Arc<str>>,
    wrong: Arc<Mutex<Wrong>>,
    registry: Arc<Registry>,
}

/// Wrong tokens since there was a pause.
#[derive(Debug, Default)]
struct Wrong {
    count: u32,
    last: Option<Instant>,
    /// Told in the log.
    told: Option<Instant>,
    untold: u32,
}

/// So many wrong tokens are answered at once; each further one has to wait twice as long as the one before.
const AT_ONCE: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// After which they are forgotten.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two lines about them in the log.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Token {
    pub(super) fn of(wanted: Option<&str>, registry: Arc<Registry>) -> Self {
        Self { wanted: wanted.map(Arc::from), wrong: Arc::default(), registry }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Notes a wrong token, and answers how long its sender is to wait.
    fn note_wrong(&self, peer: Option<SocketAddr>) -> Duration {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if wrong.last.is_some_and(|last| now - last > PAUSE) {
            wrong.count = 0;
        }
        wrong.last = Some(now);
        wrong.count = wrong.count.saturating_add(1);
        wrong.untold += 1;
        if wrong.told.is_none_or(|told| now - told >= TELL_EVERY) {
            wrong.told = Some(now);
            let (times, peer) = (std::mem::take(&mut wrong.untold), peer.map(|peer| peer.to_string()));
            tracing::warn!(target: "audit", peer, times, "wrong token for the admin API");
        }
        wait_after(wrong.count)
    }
}

fn wait_after(count: u32) -> Duration {
    match count.checked_sub(AT_ONCE + 1) {
        None => Duration::ZERO,
        Some(further) => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(further)).min(LONGEST_WAIT),
    }
}

/// Lets a request through when it carries the token (RFC 6750 section 2.1).
pub(super) async fn require(State(token): State<Token>, request: Request, next: Next) -> Response {
    let Some(wanted) = &token.wanted else { return next.run(request).await };
    let sent = request.headers().get(AUTHORIZATION);
    let bearer = sent.and_then(|value| value.as_bytes().split_at_checked(7));
    if let Some((scheme, sent)) = bearer
        && scheme.eq_ignore_ascii_case(b"bearer ")
        && same(sent, wanted.as_bytes())
    {
        return next.run(request).await;
    }
    token.registry.admin_refused(AdminRefusal::Token);
    // Who sends none has not guessed.
    if sent.is_some() {
        let peer = request.extensions().get::<Peer>().and_then(|peer| peer.0);
        tokio::time::sleep(token.note_wrong(peer)).await;
    }
    let error = ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the admin API wants its token: `Authorization: Bearer TOKEN`",
    );
    ([(WWW_AUTHENTICATE, "Bearer")], error).into_response()
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
    fn guessing_takes_longer_and_longer() {
        let waits: Vec<u64> = [1, 5, 6, 7, 10, 11, 1000].map(|count| wait_after(count).as_millis() as u64).into();
        assert_eq!(waits, [0, 0, 50, 100, 800, 1000, 1000]);
    }

    #[test]
    fn only_the_same_token_is_the_same() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secre", b"secret"));
        assert!(!same(b"secreT", b"secret"));
        assert!(!same(b"", b"secret"));
    }
}
