//! The only map from an error to a status, a flag and how it counts.

use http::StatusCode;

use crate::error::ErrorKind;
use crate::telemetry::{BadRequest, Flag};

/// How a failure shows to the client and in the logs.
pub(super) fn status_and_flag(kind: ErrorKind) -> (StatusCode, Flag) {
    match kind {
        ErrorKind::BadRequest(_) => (StatusCode::BAD_REQUEST, Flag::BadRequest),
        ErrorKind::ProxyHeader(_) => (StatusCode::BAD_REQUEST, Flag::ProxyHeader),
        ErrorKind::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Flag::BadRequest),
        ErrorKind::TargetTooLong => (StatusCode::URI_TOO_LONG, Flag::BadRequest),
        ErrorKind::UnknownCoding | ErrorKind::UnknownProtocol => (StatusCode::NOT_IMPLEMENTED, Flag::BadRequest),
        ErrorKind::UnknownVersion => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, Flag::BadRequest),
        ErrorKind::Misdirected => (StatusCode::MISDIRECTED_REQUEST, Flag::BadRequest),
        ErrorKind::HeadTimeout => (StatusCode::REQUEST_TIMEOUT, Flag::RequestTimeout),
        ErrorKind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, Flag::BadRequest),
        ErrorKind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Flag::BodyTooLarge),
        ErrorKind::ClientTimeout => (StatusCode::REQUEST_TIMEOUT, Flag::RequestTimeout),
        // Nobody reads it; nginx's number makes it tell in the log.
        ErrorKind::ClientAbort => (CLIENT_CLOSED_REQUEST, Flag::ClientAbort),
        ErrorKind::NoRoute => (StatusCode::NOT_FOUND, Flag::NoRoute),
        ErrorKind::NoEndpoint => (StatusCode::SERVICE_UNAVAILABLE, Flag::NoEndpoint),
        ErrorKind::QueueFull | ErrorKind::QueueTimeout => (StatusCode::SERVICE_UNAVAILABLE, Flag::Overflow),
        ErrorKind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, Flag::Overloaded),
        ErrorKind::ConnectFailure => (StatusCode::BAD_GATEWAY, Flag::ConnectFailure),
        ErrorKind::ConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, Flag::ConnectFailure),
        ErrorKind::TlsFailure => (StatusCode::BAD_GATEWAY, Flag::TlsFailure),
        ErrorKind::FirstByteTimeout | ErrorKind::SendTimeout | ErrorKind::FoundUnhealthy | ErrorKind::BodyTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, Flag::UpstreamTimeout)
        }
        ErrorKind::Deregistered => (StatusCode::SERVICE_UNAVAILABLE, Flag::Deregistered),
        ErrorKind::UpstreamReset | ErrorKind::UpstreamProtocol | ErrorKind::NoUpgrade => {
            (StatusCode::BAD_GATEWAY, Flag::UpstreamReset)
        }
        ErrorKind::RequestTimeout => (StatusCode::GATEWAY_TIMEOUT, Flag::RequestTimeout),
        // Of connections that carry another protocol, whose status is said already, if there is one.
        ErrorKind::IdleTimeout => (StatusCode::GATEWAY_TIMEOUT, Flag::IdleTimeout),
        ErrorKind::Exhausted | ErrorKind::Plugin => (StatusCode::SERVICE_UNAVAILABLE, Flag::Internal),
    }
}

/// How a request that was refused before it was routed counts.
pub(super) fn bad_request(kind: ErrorKind) -> Option<BadRequest> {
    Some(match kind {
        ErrorKind::BadRequest(_)
        | ErrorKind::MethodNotAllowed
        | ErrorKind::UnknownCoding
        | ErrorKind::UnknownVersion
        | ErrorKind::UnknownProtocol => BadRequest::Parse,
        ErrorKind::HeadTooLarge | ErrorKind::TargetTooLong => BadRequest::HeaderTooLarge,
        ErrorKind::Misdirected => BadRequest::Misdirected,
        ErrorKind::HeadTimeout => BadRequest::Timeout,
        ErrorKind::BodyTooLarge => BadRequest::BodyTooLarge,
        _ => return None,
    })
}

const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};
