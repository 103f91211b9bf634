//! What is known of gRPC (its protocol over HTTP/2): calls have deadlines, end with a status of their own behind the answer,
//! and their clients take our own answers for failures of transport unless these have that status, too.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode, Version};
use plimsoll_fields::{Fields, RequestHead};

use crate::error::ErrorKind;
use crate::telemetry::GrpcStatus;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Whether a request is a call: `application/grpc`, with or without the coding of its messages.
pub(super) fn is_call(head: &RequestHead) -> bool {
    if head.version < Version::HTTP_2 {
        return false;
    }
    let media_type = head.headers.get(CONTENT_TYPE);
    let rest = media_type.and_then(|media_type| media_type.as_bytes().strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// How long the client waits for a call: up to eight digits and a unit. None for what is not that, which counts as none.
pub(super) fn timeout(headers: &Fields) -> Option<Duration> {
    let (unit, digits) = headers.get(GRPC_TIMEOUT)?.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Says how long is left, as exactly as eight digits can.
pub(super) fn set_timeout(headers: &mut Fields, left: Duration) {
    const MOST: u128 = 99_999_999;
    let (number, unit) = match left {
        _ if left.as_micros() <= MOST => (left.as_micros(), 'u'),
        _ if left.as_millis() <= MOST => (left.as_millis(), 'm'),
        _ => (u128::from(left.as_secs()).min(MOST), 'S'),
    };
    if let Ok(value) = HeaderValue::try_from(format!("{number}{unit}")) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

/// The status in trailers, or in a head that has nothing behind it.
pub(super) fn status(fields: &Fields) -> Option<GrpcStatus> {
    let code: usize = fields.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()?;
    // Codes that nobody knows are to be taken for this one.
    Some(GrpcStatus::ALL.get(code).copied().unwrap_or(GrpcStatus::Unknown))
}

/// Makes the fields of an answer of ours those of one to a call, which is a head alone, with the status that stands for that
/// of HTTP.
pub(super) fn translate(http: StatusCode, headers: &mut Fields, failure: Option<ErrorKind>) -> GrpcStatus {
    let status = match failure {
        Some(ErrorKind::RequestTimeout) => GrpcStatus::DeadlineExceeded,
        _ => of_http(http),
    };
    let message = http.canonical_reason().unwrap_or("Error");
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(status as u16));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    status
}

/// As clients read a status of HTTP where there is none of gRPC (gRPC's http-grpc-status-mapping), but for what tells more:
/// a body that is too large.
fn of_http(status: StatusCode) -> GrpcStatus {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => GrpcStatus::Internal,
        StatusCode::UNAUTHORIZED => GrpcStatus::Unauthenticated,
        StatusCode::FORBIDDEN => GrpcStatus::PermissionDenied,
        StatusCode::NOT_FOUND => GrpcStatus::Unimplemented,
        StatusCode::PAYLOAD_TOO_LARGE => GrpcStatus::ResourceExhausted,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => GrpcStatus::Unavailable,
        _ => GrpcStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn timeout_of(text: &str) -> Option<Duration> {
        timeout(&[(GRPC_TIMEOUT, HeaderValue::from_str(text).expect("a value"))].into_iter().collect())
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        assert_eq!(timeout_of("100m"), Some(Duration::from_millis(100)));
        assert_eq!(timeout_of("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(timeout_of("2M"), Some(Duration::from_secs(120)));
        assert_eq!(timeout_of("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(timeout_of("7u"), Some(Duration::from_micros(7)));
        assert_eq!(timeout_of("0n"), Some(Duration::ZERO));
        for text in ["", "m", "1", "100000000m", "1 m", "-1m", "1.5S", "1s", "1h"] {
            assert_eq!(timeout_of(text), None, "{text}");
        }
        assert_eq!(timeout(&Fields::new()), None);
    }

    #[test]
    fn what_is_left_is_said_as_exactly_as_can_be() {
        for (left, text) in [
            (Duration::ZERO, "0u"),
            (Duration::from_nanos(1_500_999), "1500u"),
            (Duration::from_millis(99_999), "99999000u"),
            (Duration::from_millis(100_001), "100001m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(u64::MAX), "99999999S"),
        ] {
            let mut headers = Fields::new();
            set_timeout(&mut headers, left);
            assert_eq!(headers[GRPC_TIMEOUT], text);
        }
    }

    #[test]
    fn a_call_is_told_by_its_media_type() {
        let is = |text: &str, version| {
            let request = Request::post("/a/b").version(version).header("content-type", text).body(());
            is_call(&request.expect("valid").into())
        };
        for text in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(is(text, Version::HTTP_2), "{text}");
            assert!(!is(text, Version::HTTP_11), "there is nothing behind its answers");
        }
        for text in ["application/grpc-web", "application/grpcx", "application/json", ""] {
            assert!(!is(text, Version::HTTP_2), "{text}");
        }
    }

    #[test]
    fn an_unknown_status_is_unknown() {
        let status_of =
            |text: &'static str| status(&[(GRPC_STATUS, HeaderValue::from_static(text))].into_iter().collect());
        assert_eq!(status_of("0"), Some(GrpcStatus::Ok));
        assert_eq!(status_of("16"), Some(GrpcStatus::Unauthenticated));
        assert_eq!(status_of("17"), Some(GrpcStatus::Unknown));
        assert_eq!(status_of("-1"), None);
        assert_eq!(status(&Fields::new()), None);
    }
}
