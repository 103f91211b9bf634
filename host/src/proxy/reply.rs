//! The answers that are our own, and the only map from an error to a text.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use plimsoll_fields::RequestHead;

use super::client::without_port;
use super::headers;
use super::response::Response;
use super::response_body::ResponseBody;
use super::status::status_and_flag;
use crate::config::RedirectHttps;
use crate::error::{Error, ErrorKind};
use crate::plugin;

/// Methods that a client may use, as far as the proxy knows.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The answer to a request that failed.
pub(super) fn failure(error: &Error) -> Response {
    let (status, _) = status_and_flag(error.kind);
    let mut response = text(status, &format!("{} {}\n", status.as_u16(), describe(error.kind, status)));
    match error.kind {
        ErrorKind::NoEndpoint | ErrorKind::QueueFull | ErrorKind::QueueTimeout | ErrorKind::Overloaded => {
            response.head.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        ErrorKind::MethodNotAllowed => {
            response.head.headers.insert(ALLOW, HeaderValue::from_static(METHODS));
        }
        _ => {}
    }
    response
}

pub(super) fn redirect(redirect: &plugin::Redirect) -> Response {
    let mut response = text(redirect.status, "");
    response.head.headers.insert(LOCATION, redirect.location.clone());
    response
}

/// Leads a client that asked in the clear to `https`, with what it asked for.
pub(super) fn to_https(redirect: &RedirectHttps, head: &RequestHead) -> Response {
    let keeps_itself = matches!(head.method, Method::GET | Method::HEAD);
    let usual = if keeps_itself { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
    let mut response = text(redirect.status.unwrap_or(usual), "");
    let host = head.headers.get(HOST).map(|host| without_port(host.as_bytes())).unwrap_or_default();
    let port = match redirect.port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let target = head.uri.path_and_query().map(|target| target.as_str()).filter(|target| target.starts_with('/'));
    let location = [b"https://", host, port.as_bytes(), target.unwrap_or("/").as_bytes()].concat();
    // What was in a head may be in another.
    if let Ok(location) = HeaderValue::from_bytes(&location) {
        response.head.headers.insert(LOCATION, location);
    }
    response
}

/// What an authority reads that wants to know whose a name is (RFC 8555 section 8.3).
pub(super) fn acme_challenge(answer: Bytes) -> Response {
    let mut response = Response::new(StatusCode::OK, ResponseBody::full(answer));
    response.head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

pub(super) fn respond(wanted: &plugin::Response) -> Response {
    let mut response = Response::new(wanted.status, ResponseBody::full(wanted.body.clone()));
    // How the message is framed is not a plugin's to say: a length that is not the body's would put the connection out of
    // step.
    for (name, value) in wanted.headers.iter().filter(|(name, _)| !headers::is_ours(name)) {
        response.head.headers.append(name.clone(), value.clone());
    }
    response
}

/// A whole HTTP/1.1 answer for a connection that never became one: too many of them, or a client that does not speak TLS.
pub fn refusal(status: StatusCode, text: Option<&str>) -> String {
    let reason = status.canonical_reason().unwrap_or("Error");
    let body = format!("{} {}\n", status.as_u16(), text.unwrap_or(reason));
    let retry_after = if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n{retry_after}connection: close\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    )
}

fn text(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(status, ResponseBody::full(Bytes::copy_from_slice(text.as_bytes())));
    response.head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// What a client may know: which endpoint failed and why is for the log.
fn describe(kind: ErrorKind, status: StatusCode) -> &'static str {
    match kind {
        ErrorKind::BadRequest(how) => how,
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}
