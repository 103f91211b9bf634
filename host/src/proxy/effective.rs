//! The request that is meant, whatever protocol it came by and in whatever form: what every route, plugin and endpoint
//! sees is made here, and what could be understood in two ways is refused here.

use std::net::Ipv6Addr;

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, MAX_FORWARDS};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use plimsoll_fields::{Fields, RequestHead};

use super::link::Link;
use super::reply;
use super::response::Response;
use crate::config::Underscores;
use crate::error::ErrorKind;

/// Turns what was received into the effective request: the target in origin form (or `*`), who is asked in `Host`.
/// Refuses what has none.
pub(super) fn make(
    head: &mut RequestHead,
    link: &dyn Link,
    header_count: usize,
    underscores: Underscores,
) -> Result<(), ErrorKind> {
    if head.method == Method::CONNECT {
        return Err(ErrorKind::MethodNotAllowed);
    }
    // Over HTTP/1.1 the codec holds it already; HTTP/2 has no such bound of its own.
    if head.headers.len() > header_count {
        return Err(ErrorKind::HeadTooLarge);
    }
    judge_underscores(&mut head.headers, underscores)?;
    judge_length(head)?;
    let authority = authority(head)?;
    let target = target(head)?;
    match authority {
        Authority::Host => {}
        Authority::Target(host) => {
            head.headers.insert(HOST, host);
        }
        Authority::None => {
            // RFC 9112 section 3.3: who was asked is all that is known of whom.
            let host = link.local_address().and_then(|address| HeaderValue::try_from(address.to_string()).ok());
            head.headers.insert(HOST, host.ok_or(ErrorKind::BadRequest("no Host"))?);
        }
    }
    if let Some(target) = target {
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(target);
        head.uri = Uri::from_parts(parts).map_err(|_| ErrorKind::BadRequest("target"))?;
    }
    Ok(())
}

/// Where a request says who is asked.
enum Authority {
    /// In `Host`, where it stays.
    Host,
    /// In its target, which decides over `Host` (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1).
    Target(HeaderValue),
    /// Nowhere, as HTTP/1.0 may.
    None,
}

fn authority(head: &RequestHead) -> Result<Authority, ErrorKind> {
    let mut hosts = head.headers.get_all(HOST);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(ErrorKind::BadRequest("more than one Host"));
    }
    if let Some(host) = host
        && !is_authority(host.as_bytes())
    {
        return Err(ErrorKind::BadRequest("Host is not a host"));
    }
    let is_http1 = head.version < Version::HTTP_2;
    let Some(target) = head.uri.authority() else {
        return match host {
            // RFC 9112 section 3.2: a request of HTTP/1.1 without Host is an error, whatever its target says.
            None if head.version == Version::HTTP_10 => Ok(Authority::None),
            None if is_http1 => Err(ErrorKind::BadRequest("no Host")),
            None => Err(ErrorKind::BadRequest("no :authority and no Host")),
            Some(_) => Ok(Authority::Host),
        };
    };
    if target.as_str().is_empty() || !is_authority(target.as_str().as_bytes()) {
        return Err(ErrorKind::BadRequest("the target's authority is not a host"));
    }
    match host {
        None if head.version == Version::HTTP_11 => return Err(ErrorKind::BadRequest("no Host")),
        // RFC 9113 section 8.3.1: there is no reason for two, and two readers could each believe another.
        Some(host) if !is_http1 && !host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes()) => {
            return Err(ErrorKind::BadRequest("Host is not :authority"));
        }
        Some(host) if host.as_bytes() == target.as_str().as_bytes() => return Ok(Authority::Host),
        _ => {}
    }
    let target = HeaderValue::try_from(target.as_str());
    target.map(Authority::Target).map_err(|_| ErrorKind::BadRequest("the target's authority is not a host"))
}

/// The target in origin form, where it has another; none where it stays as it is.
fn target(head: &RequestHead) -> Result<Option<PathAndQuery>, ErrorKind> {
    let absolute = head.uri.scheme().is_some();
    if let Some(scheme) = head.uri.scheme()
        && *scheme != Scheme::HTTP
        && *scheme != Scheme::HTTPS
    {
        return Err(ErrorKind::BadRequest("a scheme other than http and https"));
    }
    let Some(target) = head.uri.path_and_query() else {
        // The authority form, which is CONNECT's (RFC 9112 section 3.2.3).
        return Err(ErrorKind::BadRequest("the target is not a path"));
    };
    let text = target.as_str();
    match text.as_bytes() {
        [b'/', ..] if !absolute && head.uri.authority().is_none() => Ok(None),
        [b'/', ..] => Ok(Some(target.clone())),
        // RFC 9112 section 3.2.4: the server as a whole, which only OPTIONS asks about.
        b"*" if head.method == Method::OPTIONS => Ok((head.uri.authority().is_some()).then(|| target.clone())),
        // RFC 9112 section 3.2.1: an empty path goes out as `/`.
        [b'?', ..] if absolute && head.version < Version::HTTP_2 => {
            let target = PathAndQuery::try_from(format!("/{text}"));
            target.map(Some).map_err(|_| ErrorKind::BadRequest("target"))
        }
        _ => Err(ErrorKind::BadRequest("the target is not a path")),
    }
}

/// Host and optional port (RFC 3986 section 3.2, without user information); an empty one is allowed in `Host`
/// (RFC 9110 section 7.2).
fn is_authority(text: &[u8]) -> bool {
    let (host, port): (&[u8], &[u8]) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let is_address = std::str::from_utf8(&rest[..end]).is_ok_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
            match &rest[end + 1..] {
                _ if !is_address => return false,
                [] => return true,
                [b':', port @ ..] => (b"[]", port),
                _ => return false,
            }
        }
        _ => match text.iter().position(|byte| *byte == b':') {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, b""),
        },
    };
    let has_port = text.len() > host.len() && text != host;
    (!host.is_empty() || !has_port) && is_registered_name(host) && is_port(port)
}

fn is_registered_name(host: &[u8]) -> bool {
    if host == b"[]" {
        return true;
    }
    let mut rest = host;
    while let [byte, behind @ ..] = rest {
        rest = match (byte, behind) {
            (byte, behind) if REGISTERED[usize::from(*byte)] => behind,
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => behind,
            _ => return false,
        };
    }
    true
}

/// What a name may have that is not coded: `unreserved` and `sub-delims` (RFC 3986 section 3.2.2).
static REGISTERED: [bool; 256] = {
    let mut registered = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        registered[byte] = matches!(
            byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')'
                | b'*' | b'+' | b',' | b';' | b'='
        );
        byte += 1;
    }
    registered
};

fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')) <= u32::from(u16::MAX)
}

/// What HTTP/1.1's codec has looked at already.
fn judge_length(head: &RequestHead) -> Result<(), ErrorKind> {
    if head.version < Version::HTTP_2 {
        return Ok(());
    }
    let mut lengths = head.headers.get_all(CONTENT_LENGTH);
    let Some(length) = lengths.next() else { return Ok(()) };
    let is_number = !length.is_empty() && length.len() < 20 && length.as_bytes().iter().all(u8::is_ascii_digit);
    if is_number && lengths.next().is_none() { Ok(()) } else { Err(ErrorKind::BadRequest("content-length")) }
}

/// Applications that read fields as CGI variables take `x_forwarded_for` for `X-Forwarded-For`.
fn judge_underscores(headers: &mut Fields, underscores: Underscores) -> Result<(), ErrorKind> {
    let has_one = |name: &HeaderName| name.as_str().contains('_');
    if underscores == Underscores::Pass || !headers.names().any(has_one) {
        return Ok(());
    }
    if underscores == Underscores::Reject {
        return Err(ErrorKind::BadRequest("a field name with an underscore"));
    }
    headers.retain(|name, _| !has_one(name));
    Ok(())
}

/// The answer of the last one that a request may reach, if that is us (RFC 9110 section 7.6.2). One that may go on has one
/// step less left.
pub(super) fn last_step(head: &mut RequestHead) -> Option<Response> {
    if head.method != Method::OPTIONS && head.method != Method::TRACE {
        return None;
    }
    let left: u32 = head.headers.get(MAX_FORWARDS)?.to_str().ok()?.parse().ok()?;
    if let Some(left) = left.checked_sub(1) {
        head.headers.insert(MAX_FORWARDS, left.into());
        return None;
    }
    // TRACE shows a client what arrives, which may be secrets that its own pages cannot read: it ends here.
    let is_options = head.method == Method::OPTIONS;
    let mut response = Response::of(if is_options { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED });
    if !is_options {
        response.head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response.head.headers.insert(ALLOW, HeaderValue::from_static(reply::METHODS));
    Some(response)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// The connection of a client at the documentation's network.
    struct Nobody;

    impl Link for Nobody {
        fn informational(&self, _head: plimsoll_fields::ResponseHead) {}

        fn queued(&self, _queued: bool) {}

        fn tunnel(&self) -> Option<crate::downstream::ClientBody> {
            None
        }

        fn local_address(&self) -> Option<std::net::SocketAddr> {
            Some(([192, 0, 2, 1], 8080).into())
        }

        fn handshake(&self) -> Option<&std::sync::Arc<crate::io::Completion>> {
            None
        }
    }

    fn made(request: http::request::Builder) -> Result<RequestHead, ErrorKind> {
        made_with(request, Underscores::Drop)
    }

    fn made_with(request: http::request::Builder, underscores: Underscores) -> Result<RequestHead, ErrorKind> {
        let mut head = RequestHead::from(request.body(()).expect("the request is valid"));
        make(&mut head, &Nobody, 100, underscores)?;
        Ok(head)
    }

    fn seen(request: http::request::Builder) -> Option<(String, String)> {
        let head = made(request).ok()?;
        Some((head.headers["host"].to_str().expect("text").to_owned(), head.uri.to_string()))
    }

    fn get(target: &str) -> http::request::Builder {
        Request::get(target).header("host", "a")
    }

    fn over_http2(target: &str) -> http::request::Builder {
        Request::get(target).version(Version::HTTP_2)
    }

    fn pair(host: &str, target: &str) -> Option<(String, String)> {
        Some((host.into(), target.into()))
    }

    #[test]
    fn rfc9112_3_2_every_form_ends_as_the_origin_form() {
        assert_eq!(seen(get("/x?y")), pair("a", "/x?y"));
        assert_eq!(seen(get("http://b:81/x?y")), pair("b:81", "/x?y"), "the target decides over Host");
        assert_eq!(seen(get("http://a?token=abc&sig=Zg%3D")), pair("a", "/?token=abc&sig=Zg%3D"));
        assert_eq!(seen(get("http://a")), pair("a", "/"));
        assert_eq!(seen(Request::options("http://a?x").header("host", "a")), pair("a", "/?x"));
        assert_eq!(seen(Request::options("*").header("host", "a")), pair("a", "*"));
        assert_eq!(seen(over_http2("https://a/x")), pair("a", "/x"));
        assert_eq!(seen(over_http2("https://a/x").header("host", "A")), pair("a", "/x"));
    }

    #[test]
    fn rfc9112_3_2_other_forms_are_refused() {
        for target in ["admin", "other.test:80", "*", "?x=1", "ftp://a/", "http://u@a/", "http://a:x/"] {
            let mut head = RequestHead::from(get("/").body(()).expect("valid"));
            let Ok(uri) = target.parse() else { continue };
            head.uri = uri;
            let made = make(&mut head, &Nobody, 100, Underscores::Drop);
            assert!(matches!(made, Err(ErrorKind::BadRequest(_))), "{target}");
        }
        assert_eq!(made(Request::connect("a:1").header("host", "a")).err(), Some(ErrorKind::MethodNotAllowed));
        assert!(made(over_http2("https://a/x").header("host", "b")).is_err());
        assert!(made(over_http2("https://a/x").header("content-length", "")).is_err());
        assert!(made(over_http2("https://a/x").header("content-length", "+1")).is_err());
    }

    #[test]
    fn rfc9110_7_2_one_host_that_is_one() {
        assert!(made(Request::get("/")).is_err(), "HTTP/1.1 needs one");
        let old = seen(Request::get("/").version(Version::HTTP_10));
        assert_eq!(old, pair("192.0.2.1:8080", "/"), "where the client asked");
        assert!(made(get("/").header("host", "b")).is_err(), "not two");
        for host in [
            "a/b", "a b", "a@b", "a:b", "a:65536", "a:1:2", ":80", "[::1", "::1", "[::g]", "[::1]x", "a%2", "a\"",
            "[::1]:x",
        ] {
            assert!(!is_authority(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "a",
            "a.test:80",
            "a:",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:443",
            "xn--bcher-kva.example",
            "a_b",
            "a%2fb",
        ] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn names_with_underscores_are_dropped_passed_or_rejected() {
        let request = || get("/").header("x_forwarded_for", "1").header("content_length", "5").header("x-ok", "1");
        let dropped = made(request()).expect("dropped");
        assert!(dropped.headers.names().all(|name| !name.as_str().contains('_')) && dropped.headers.contains("x-ok"));
        assert!(made_with(request(), Underscores::Pass).expect("passed").headers.contains("x_forwarded_for"));
        assert!(made_with(request(), Underscores::Reject).is_err());
    }

    #[test]
    fn rfc9110_7_6_2_max_forwards_is_heeded() {
        let asked = |method: Method, left: &str| {
            let request = Request::builder().method(method).uri("/").header("max-forwards", left);
            let mut head = RequestHead::from(request.body(()).expect("valid"));
            (last_step(&mut head).map(|response| response.head.status), head.headers["max-forwards"].clone())
        };
        assert_eq!(asked(Method::OPTIONS, "0").0, Some(StatusCode::OK));
        assert_eq!(asked(Method::TRACE, "0").0, Some(StatusCode::METHOD_NOT_ALLOWED));
        assert_eq!(asked(Method::OPTIONS, "3"), (None, HeaderValue::from_static("2")));
        assert_eq!(asked(Method::GET, "0"), (None, HeaderValue::from_static("0")), "others do not count steps");
    }
}
