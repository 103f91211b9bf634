//! Requests that come before the handshake of their client is over, and could be sent again by somebody who has seen them (RFC 8470).

use http::header::UPGRADE;
use http::{HeaderName, HeaderValue, StatusCode};
use plimsoll_fields::RequestHead;
use plimsoll_resilience::Failure;

use super::exchange::Exchange;
use super::link::Link;
use crate::error::ErrorKind;
use crate::io::Completion;

const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// Lets one pass that does no harm, with a word to its endpoint, which may find it too early; any other waits for the end of the
/// handshake. Fails when its client has not completed that.
pub(super) async fn admit(
    completion: &Completion,
    account: &mut Exchange,
    head: &mut RequestHead,
    has_body: bool,
) -> Result<(), ErrorKind> {
    if head.method.is_safe() && !has_body && !head.headers.contains(UPGRADE) {
        // Section 5.2: of what was early before it came to us, its client has to hear that it was too early.
        account.is_early = !head.headers.contains(EARLY_DATA);
        head.headers.insert(EARLY_DATA, HeaderValue::from_static("1"));
        return Ok(());
    }
    if completion.wait().await { Ok(()) } else { Err(ErrorKind::ClientAbort) }
}

/// What an answer is by which an endpoint wants to have the request later, and nobody before us has to hear of that.
pub(super) fn failure_of(account: &Exchange, status: StatusCode) -> Option<Failure> {
    (account.is_early && status == StatusCode::TOO_EARLY).then(|| Failure::Status(status.as_u16()))
}

/// Waits until the request can be made as any other.
pub(super) async fn wait(link: &dyn Link, account: &mut Exchange, head: &mut RequestHead) -> Result<(), ErrorKind> {
    account.is_early = false;
    head.headers.remove(EARLY_DATA);
    match link.handshake() {
        Some(completion) if !completion.wait().await => Err(ErrorKind::ClientAbort),
        _ => Ok(()),
    }
}
