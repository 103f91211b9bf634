//! What an answer is, whoever made it and whatever its client speaks: the rules about lengths and bodies hold here, since
//! neither endpoints nor plugins need keep to them, and only one of the protocols would notice.

use http::header::{ALT_SVC, CONTENT_LENGTH, DATE, STRICT_TRANSPORT_SECURITY};
use http::{Method, StatusCode, Version};
use plimsoll_fields::Fields;

use super::context::Context;
use super::listener::Listener;
use super::response::Response;
use super::response_body::ResponseBody;
use crate::downstream::Body;

/// Makes an answer one to a request of `method`: `Content-Length` is the length of what follows, or of what would follow
/// in answers that have no content, and those have none.
pub(super) fn finish(context: &Context, method: &Method, response: &mut Response) {
    if response.body.is_tunnel() {
        return;
    }
    let status = response.head.status;
    let length = response.body.remaining();
    if status == StatusCode::NO_CONTENT || status.is_informational() {
        // RFC 9110 section 8.6: not even a length of 0.
        response.head.headers.remove(CONTENT_LENGTH);
        response.body = ResponseBody::default();
    } else if status == StatusCode::RESET_CONTENT {
        // RFC 9110 section 15.3.6: the length is said, and is 0.
        response.head.headers.insert(CONTENT_LENGTH, 0.into());
        response.body = ResponseBody::default();
    } else if status == StatusCode::NOT_MODIFIED {
        response.body = ResponseBody::default();
    } else if *method == Method::HEAD {
        // What an endpoint says is the length of the answer to a GET, which it does not send.
        if let Some(length @ 1..) = length {
            announce(&mut response.head.headers, length);
        }
        response.body = ResponseBody::default();
    } else {
        match length {
            Some(length) => announce(&mut response.head.headers, length),
            None => {
                response.head.headers.remove(CONTENT_LENGTH);
            }
        }
    }
    // RFC 9110 section 6.6.1: who has a clock adds it.
    if !response.head.headers.contains(DATE) {
        response.head.headers.insert(DATE, context.date());
    }
}

/// Has browsers come by `https` only, where the operator wants it (RFC 6797 section 7.1).
pub(super) fn say_hsts(listener: &Listener, response: &mut Response) {
    if let Some(hsts) = listener.config.tls.as_ref().and_then(|tls| tls.hsts.as_ref()) {
        response.head.headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// Tells a client of HTTP/1.1 or HTTP/2 that it may come by HTTP/3 (RFC 7838), in the place of what endpoints say of themselves.
pub(super) fn say_alternative(listener: &Listener, asked: Version, response: &mut Response) {
    if let Some(alternative) = &listener.alternative
        && asked < Version::HTTP_3
    {
        response.head.headers.insert(ALT_SVC, alternative.clone());
    }
}

/// Endpoints' lengths have been read and found right; our own answers have none yet.
fn announce(headers: &mut Fields, length: u64) {
    if !headers.contains(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}
