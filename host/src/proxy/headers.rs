//! What a proxy changes in heads: fields that belong to one connection (RFC 9110 section 7.6.1). Who forwarded for whom
//! stands in `forwarding`.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, StatusCode, Version};
use plimsoll_fields::{Fields, RequestHead, ResponseHead};
use plimsoll_http1::may_trail;

use super::client::Client;
use super::forwarding::{forward, is_forwarding};
use super::source::Source;
use crate::config::Listener;

/// Turns a client's head into the one that is sent to the endpoint.
pub(super) fn prepare_request(head: &mut RequestHead, client: &Client, source: &Source, listener: &Listener) {
    let received = head.version;
    remove_fields_that_end_here(&mut head.headers);
    if received >= Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    forward(head, client, source, listener, received);
    head.version = Version::HTTP_11;
}

/// Turns an endpoint's head into the one that is sent to the client.
pub(super) fn prepare_response(head: &mut ResponseHead) {
    // RFC 9110 sections 7.8 and 15.5.22: these two say which protocol is spoken from here on, or would be.
    let tells_protocol = matches!(head.status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED);
    let protocol = tells_protocol.then(|| head.headers.remove(UPGRADE)).flatten();
    remove_fields_that_end_here(&mut head.headers);
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
}

/// Takes out of trailers what may not stand there.
pub(super) fn prepare_trailers(trailers: &mut Fields) {
    trailers.retain(|name, _| may_trail(name));
}

/// Whether a field is of one connection, or was for a proxy. `Expect` is among them: we tell the client to go on when its body is
/// read, so the endpoint need not.
fn ends_here(name: &HeaderName) -> bool {
    let is_standard = matches!(
        *name,
        CONNECTION | TE | EXPECT | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TRANSFER_ENCODING | UPGRADE
    );
    is_standard || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Whether a field is the proxy's alone: it belongs to one connection, frames the message, or says where it goes.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    ends_here(name) || matches!(*name, CONTENT_LENGTH | HOST | TRAILER)
}

/// One pass over the names finds out whether there is anything to do, since mostly there is nothing.
fn remove_fields_that_end_here(headers: &mut Fields) {
    if !headers.names().any(ends_here) {
        return;
    }
    let trailers = wants_trailers(headers);
    let named = named_by_connection(headers);
    let is_named = |name: &HeaderName| named.binary_search_by(|named| named.as_str().cmp(name.as_str())).is_ok();
    headers.retain(|name, _| !ends_here(name) && !is_named(name));
    if trailers {
        headers.append(TE, HeaderValue::from_static("trailers"));
    }
}

/// Fields that `Connection` declares to be meant for us only. Some fields are not the peer's to take away: framing is
/// handled apart, and removing `Host` or what we add for the endpoint would be an attack. In their order, since a client may
/// name very many.
fn named_by_connection(headers: &Fields) -> Vec<HeaderName> {
    const PROTECTED: [HeaderName; 3] = [HOST, CONTENT_LENGTH, COOKIE];
    let mut named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !PROTECTED.contains(name) && !is_forwarding(name))
        .collect();
    named.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    named
}

fn wants_trailers(headers: &Fields) -> bool {
    headers.get_all(TE).any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// HTTP/2 clients may send each cookie in a field of its own; HTTP/1.1 has one field (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut Fields) {
    if headers.get_all(COOKIE).nth(1).is_none() {
        return;
    }
    let fields: Vec<&[u8]> = headers.get_all(COOKIE).map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&fields.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn prepared(request: http::request::Builder) -> RequestHead {
        let mut head = RequestHead::from(request.body(()).expect("the request is valid"));
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
        let left: Vec<&str> = head.headers.names().map(HeaderName::as_str).collect();
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
