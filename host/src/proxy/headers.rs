//! What a proxy changes in heads: fields that belong to one connection (RFC 9110 section 7.6.1). Who forwarded for whom
//! stands in `forwarding`.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, response};

use plimsoll_http1::may_trail;

use super::client::Client;
use super::forwarding::{forward, is_forwarding};
use super::source::Source;
use crate::config::Listener;

/// Turns a client's head into the one that is sent to the endpoint.
pub(super) fn prepare_request(head: &mut Parts, client: &Client, source: &Source, listener: &Listener) {
    let received = head.version;
    remove_fields_that_end_here(&mut head.headers);
    if received >= Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    forward(head, client, source, listener, received);
    head.version = Version::HTTP_11;
    // What the client's side noted.
    head.extensions.clear();
}

/// Turns an endpoint's head into the one that is sent to the client.
pub(super) fn prepare_response(head: &mut response::Parts) {
    // RFC 9110 sections 7.8 and 15.5.22: these two say which protocol is spoken from here on, or would be.
    let tells_protocol = matches!(head.status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED);
    let protocol = tells_protocol.then(|| head.headers.remove(UPGRADE)).flatten();
    remove_fields_that_end_here(&mut head.headers);
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
}

/// Takes out of trailers what may not stand there.
pub(super) fn prepare_trailers(trailers: &mut HeaderMap) {
    let forbidden: Vec<HeaderName> = trailers.keys().filter(|name| !may_trail(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
}

/// Fields of one connection, and those that were for a proxy. `Expect` is among them: we tell the client to go on when its
/// body is read, so the endpoint need not.
const ENDING_HERE: [HeaderName; 9] = [
    CONNECTION,
    TE,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Position in [`ENDING_HERE`].
fn ends_here(name: &HeaderName) -> Option<u16> {
    Some(match name.as_str() {
        "connection" => 0,
        "te" => 1,
        "expect" => 2,
        "keep-alive" => 3,
        "proxy-authenticate" => 4,
        "proxy-authorization" => 5,
        "proxy-connection" => 6,
        "transfer-encoding" => 7,
        "upgrade" => 8,
        _ => return None,
    })
}

/// Whether a field is the proxy's alone: it belongs to one connection, frames the message, or says where it goes.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    ends_here(name).is_some() || matches!(*name, CONTENT_LENGTH | HOST | TRAILER)
}

/// One pass over the names finds out what there is to do, since mostly it is nothing or `Connection: keep-alive`.
fn remove_fields_that_end_here(headers: &mut HeaderMap) {
    let found = headers.keys().filter_map(ends_here).fold(0_u16, |found, position| found | 1 << position);
    if found == 0 {
        return;
    }
    let has = |position: usize| found & 1 << position != 0;
    let trailers = has(1) && wants_trailers(headers);
    if has(0) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    for (position, name) in ENDING_HERE.iter().enumerate() {
        if has(position) {
            headers.remove(name);
        }
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Fields that `Connection` declares to be meant for us only. Some fields are not the peer's to take away: framing is
/// handled apart, and removing `Host` or what we add for the endpoint would be an attack.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    const PROTECTED: [HeaderName; 3] = [HOST, CONTENT_LENGTH, COOKIE];
    headers
        .get_all(CONNECTION)
        .iter()
        .filter(|value| !matches!(value.as_bytes(), b"keep-alive" | b"close"))
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !PROTECTED.contains(name) && !is_forwarding(name))
        .collect()
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// HTTP/2 clients may send each cookie in a field of its own; HTTP/1.1 has one field (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let fields: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&fields.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn positions_of_ending_fields_are_right() {
        for (position, name) in ENDING_HERE.iter().enumerate() {
            assert_eq!(ends_here(name).map(usize::from), Some(position), "{name}");
        }
    }

    fn prepared(request: http::request::Builder) -> Parts {
        let (mut head, ()) = request.body(()).expect("the request is valid").into_parts();
        let client = Client::new(([192, 0, 2, 7], 4711).into(), None);
        let text = "listeners: [ { name: web, bind: 127.0.0.1:0, cluster: a, forwarded: off } ]
clusters: [ { name: a, endpoints: [ 127.0.0.1:1 ] } ]";
        let listener = crate::config::parse(text, "test").expect("the configuration is valid").listeners.remove(0);
        prepare_request(&mut head, &client, &client.source, &listener);
        head
    }

    #[test]
    fn rfc9110_7_6_1_connection_fields_stay_here() {
        let request = Request::get("/")
            .header("host", "a")
            .header("connection", "close, X-Secret, host, x-forwarded-for")
            .header("x-secret", "1")
            .header("keep-alive", "timeout=5")
            .header("te", "gzip, trailers")
            .header("upgrade", "h2c");
        let head = prepared(request);
        let left: Vec<&str> = head.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["host", "te"]);
        assert_eq!(head.headers["te"], "trailers");
    }

    #[test]
    fn rfc9113_8_2_3_cookies_are_joined_again() {
        let request = Request::get("/")
            .version(Version::HTTP_2)
            .header("host", "a")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        assert_eq!(prepared(request).headers["cookie"], "a=1; b=2");
    }
}
