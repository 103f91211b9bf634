use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, StatusCode, Uri, Version};
use plimsoll_fields::{Fields, RequestHead, ResponseHead};

/// Fields of one connection, which mean nothing here and make a message malformed (RFC 9113 section 8.2.2).
const CONNECTION_SPECIFIC: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// The head as it goes to the endpoint, for a body of `length` bytes, if that is known. What the target and `Host` say
/// goes into pseudo-fields (RFC 9113 section 8.3.1).
pub(in crate::upstream) fn form(head: &RequestHead, scheme: &Scheme, length: Option<u64>) -> RequestHead {
    let mut method = head.method.clone();
    let mut headers = head.headers.clone();
    let protocol = head.headers.get(UPGRADE).and_then(|protocol| protocol.to_str().ok());
    if protocol.is_some() {
        // RFC 8441 section 4: what HTTP/1.1 asks for in a field is a method of its own, and needs no proof.
        method = Method::CONNECT;
        headers.remove(SEC_WEBSOCKET_KEY);
    }
    remove_connection_specific(&mut headers);
    let expects_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    let announced = headers.remove(CONTENT_LENGTH).is_some();
    match length {
        Some(length) if length > 0 || announced || expects_body => headers.insert(CONTENT_LENGTH, length.into()),
        _ => {}
    }
    let (uri, version) = match target(head, scheme) {
        Some(target) => {
            headers.remove(HOST);
            (target, Version::HTTP_2)
        }
        // Without an authority, or with one that cannot stand in a target. This version is what makes `h2` leave it out.
        None => (head.uri.clone(), Version::HTTP_11),
    };
    RequestHead { method, uri, version, headers, protocol: protocol.map(Into::into) }
}

/// Makes the answer that agrees to another protocol the one that HTTP/1.1 has (RFC 9110 section 15.2.2).
pub(in crate::upstream) fn note_switch(answer: &mut ResponseHead, protocol: &HeaderValue) {
    answer.status = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers.remove(CONTENT_LENGTH);
    answer.headers.insert(UPGRADE, protocol.clone());
}

/// Also of trailers.
pub(in crate::upstream) fn remove_connection_specific(fields: &mut Fields) {
    for name in &CONNECTION_SPECIFIC {
        fields.remove(name);
    }
    if fields.get_all(TE).any(|value| value != "trailers") {
        fields.remove(TE);
    }
}

fn target(head: &RequestHead, scheme: &Scheme) -> Option<Uri> {
    let host = head.headers.get(HOST).map(HeaderValue::as_bytes)?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(Authority::try_from(host).ok()?);
    parts.path_and_query = match head.uri.path_and_query() {
        Some(target) if !target.as_str().is_empty() => Some(target.clone()),
        _ => Some(PathAndQuery::from_static("/")),
    };
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn formed(request: http::request::Builder, length: Option<u64>) -> RequestHead {
        form(&request.body(()).expect("valid").into(), &Scheme::HTTP, length)
    }

    #[test]
    fn rfc9113_8_3_1_target_and_host_become_pseudo_fields() {
        let request = formed(Request::get("/a?b").header("host", "x.test:81").header("x-a", "1"), Some(0));
        assert_eq!((request.uri.to_string().as_str(), request.version), ("http://x.test:81/a?b", Version::HTTP_2));
        let names: Vec<&str> = request.headers.names().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-a"]);
        let asterisk = formed(Request::options("*").header("host", "x.test"), Some(0));
        assert_eq!(asterisk.uri.path_and_query().map(PathAndQuery::as_str), Some("*"));
    }

    #[test]
    fn rfc9113_8_2_2_fields_of_a_connection_stay_here() {
        let request = Request::post("/")
            .header("host", "x")
            .header("connection", "keep-alive")
            .header("keep-alive", "5")
            .header("proxy-connection", "close")
            .header("transfer-encoding", "chunked")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMAAABkAAQAAP__")
            .header("te", "gzip, trailers");
        assert!(formed(request, None).headers.is_empty());
        let trailers = formed(Request::post("/").header("host", "x").header("te", "trailers"), None);
        assert_eq!(trailers.headers["te"], "trailers");
    }

    #[test]
    fn rfc8441_4_another_protocol_is_asked_for_by_connect() {
        let request = Request::get("/chat")
            .header("host", "x")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13");
        let request = formed(request, Some(0));
        assert_eq!(request.method, Method::CONNECT);
        assert_eq!(request.uri.to_string(), "http://x/chat");
        assert_eq!(request.protocol.as_deref(), Some("websocket"));
        let names: Vec<&str> = request.headers.names().map(HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-version"]);
    }

    #[test]
    fn the_length_that_is_sent_is_that_of_the_body() {
        let length = |request: http::request::Builder, length| {
            formed(request.header("host", "x"), length).headers.get(CONTENT_LENGTH).cloned()
        };
        assert_eq!(length(Request::post("/").header("content-length", "7"), Some(3)).as_ref().unwrap(), "3");
        assert_eq!(length(Request::post("/").header("content-length", "7"), None), None);
        assert_eq!(length(Request::get("/"), Some(0)), None);
        assert_eq!(length(Request::put("/"), Some(0)).as_ref().unwrap(), "0");
    }
}
