use h2::ext::Protocol;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, response};

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
pub(in crate::upstream) fn form(head: &Parts, scheme: &Scheme, length: Option<u64>) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    let protocol = head.headers.get(UPGRADE).and_then(|protocol| protocol.to_str().ok());
    if let Some(protocol) = protocol {
        // RFC 8441 section 4: what HTTP/1.1 asks for in a field is a method of its own, and needs no proof.
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(Protocol::from(protocol));
        request.headers_mut().remove(SEC_WEBSOCKET_KEY);
    }
    let fields = request.headers_mut();
    remove_connection_specific(fields);
    let expects_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    let announced = fields.remove(CONTENT_LENGTH).is_some();
    match length {
        Some(length) if length > 0 || announced || expects_body => {
            fields.insert(CONTENT_LENGTH, length.into());
        }
        _ => {}
    }
    match target(head, scheme) {
        Some(target) => {
            fields.remove(HOST);
            *request.uri_mut() = target;
            *request.version_mut() = Version::HTTP_2;
        }
        // Without an authority, or with one that cannot stand in a target. This version is what makes `h2` leave it out.
        None => {
            *request.uri_mut() = head.uri.clone();
            *request.version_mut() = Version::HTTP_11;
        }
    }
    request
}

/// Makes the answer that agrees to another protocol the one that HTTP/1.1 has (RFC 9110 section 15.2.2).
pub(in crate::upstream) fn note_switch(answer: &mut response::Parts, protocol: &HeaderValue) {
    answer.status = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers.remove(CONTENT_LENGTH);
    answer.headers.insert(UPGRADE, protocol.clone());
}

/// Also of trailers.
pub(in crate::upstream) fn remove_connection_specific(fields: &mut HeaderMap) {
    for name in &CONNECTION_SPECIFIC {
        fields.remove(name);
    }
    if fields.get_all(TE).iter().any(|value| value != "trailers") {
        fields.remove(TE);
    }
}

fn target(head: &Parts, scheme: &Scheme) -> Option<Uri> {
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
    use super::*;

    fn formed(request: http::request::Builder, length: Option<u64>) -> Request<()> {
        form(&request.body(()).expect("valid").into_parts().0, &Scheme::HTTP, length)
    }

    #[test]
    fn rfc9113_8_3_1_target_and_host_become_pseudo_fields() {
        let request = formed(Request::get("/a?b").header("host", "x.test:81").header("x-a", "1"), Some(0));
        assert_eq!((request.uri().to_string().as_str(), request.version()), ("http://x.test:81/a?b", Version::HTTP_2));
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-a"]);
        let asterisk = formed(Request::options("*").header("host", "x.test"), Some(0));
        assert_eq!(asterisk.uri().path_and_query().map(PathAndQuery::as_str), Some("*"));
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
        assert!(formed(request, None).headers().is_empty());
        let trailers = formed(Request::post("/").header("host", "x").header("te", "trailers"), None);
        assert_eq!(trailers.headers()["te"], "trailers");
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
        assert_eq!(request.method(), Method::CONNECT);
        assert_eq!(request.uri().to_string(), "http://x/chat");
        assert_eq!(request.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-version"]);
    }

    #[test]
    fn the_length_that_is_sent_is_that_of_the_body() {
        let length = |request: http::request::Builder, length| {
            formed(request.header("host", "x"), length).headers().get(CONTENT_LENGTH).cloned()
        };
        assert_eq!(length(Request::post("/").header("content-length", "7"), Some(3)).as_ref().unwrap(), "3");
        assert_eq!(length(Request::post("/").header("content-length", "7"), None), None);
        assert_eq!(length(Request::get("/"), Some(0)), None);
        assert_eq!(length(Request::put("/"), Some(0)).as_ref().unwrap(), "0");
    }
}
