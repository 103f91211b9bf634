//! Heads and trailers as field sections (RFC 9114 section 4).

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request, response};
use plimsoll_fields::{Fields, Malformed, Name, Part};

use crate::section::{self, Buffers};
use crate::static_table::{AUTHORITY, METHOD, PATH, SCHEME, STATUS, index_of_status};

/// The head of a request.
#[derive(Debug)]
pub struct RequestHead {
    pub parts: request::Parts,
    /// What an extended CONNECT asks for (RFC 9220).
    pub protocol: Option<String>,
}

/// Why a section gives no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// It is no field section, or needs a dynamic table: the connection ends (RFC 9204 section 2.2).
    Undecodable,
    /// The request ends (RFC 9114 section 4.1.2).
    Malformed(Malformed),
    /// Its fields are larger than they may be, all together.
    TooLarge,
}

/// Reads the head of a request whose fields may have so many bytes, counted as in RFC 9114 section 4.2.2.
pub fn read_request(section: &[u8], most_bytes: usize) -> Result<RequestHead, HeadError> {
    let mut pseudo = Pseudo::default();
    let headers = read(section, Part::Request, most_bytes, |name, value| pseudo.note(name, value))?;
    let Pseudo { method, scheme, authority, path, protocol } = pseudo;
    let method = method.ok_or(HeadError::Malformed(Malformed::MissingPseudoField))?;
    let mut uri = http::uri::Parts::default();
    uri.scheme = scheme;
    uri.authority = authority;
    uri.path_and_query = path;
    if uri.authority.is_none() || (method == Method::CONNECT && protocol.is_none()) {
        // A URI has a scheme and an authority, or none of both.
        uri.scheme = None;
    }
    let uri = Uri::from_parts(uri).map_err(|_| HeadError::Malformed(Malformed::Path))?;
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri;
    parts.version = Version::HTTP_3;
    parts.headers = headers;
    Ok(RequestHead { parts, protocol })
}

/// Reads the head of an answer, or of one in advance, whose fields may have so many bytes.
pub fn read_response(section: &[u8], most_bytes: usize) -> Result<response::Parts, HeadError> {
    let mut status = None;
    let headers = read(section, Part::Response, most_bytes, |name, value| {
        // Others have no place in an answer, which is found to be wrong with all else.
        if name == Name::Status {
            status = Some(StatusCode::from_bytes(value).map_err(|_| Malformed::Status)?);
        }
        Ok(())
    })?;
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = status.ok_or(HeadError::Malformed(Malformed::MissingPseudoField))?;
    head.version = Version::HTTP_3;
    head.headers = headers;
    Ok(head)
}

/// Reads trailers whose fields may have so many bytes.
pub fn read_trailers(section: &[u8], most_bytes: usize) -> Result<HeaderMap, HeadError> {
    read(section, Part::Trailers, most_bytes, |_, _| Ok(()))
}

/// The pseudo-fields of a request, each of which was found to be right.
#[derive(Debug, Default)]
struct Pseudo {
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    protocol: Option<String>,
}

impl Pseudo {
    fn note(&mut self, name: Name, value: &[u8]) -> Result<(), Malformed> {
        match name {
            Name::Method => self.method = Some(Method::from_bytes(value).map_err(|_| Malformed::Method)?),
            Name::Scheme => self.scheme = Some(Scheme::try_from(value).map_err(|_| Malformed::Scheme)?),
            Name::Authority => {
                let authority = Authority::from_maybe_shared(Bytes::copy_from_slice(value));
                self.authority = Some(authority.map_err(|_| Malformed::Authority)?);
            }
            Name::Path => {
                let path = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(value));
                self.path = Some(path.map_err(|_| Malformed::Path)?);
            }
            Name::Protocol => {
                let protocol = std::str::from_utf8(value).map_err(|_| Malformed::Protocol)?;
                self.protocol = Some(protocol.to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}

fn read(
    mut section: &[u8],
    part: Part,
    most_bytes: usize,
    mut pseudo: impl FnMut(Name, &[u8]) -> Result<(), Malformed>,
) -> Result<HeaderMap, HeadError> {
    let mut fields = Fields::new(part);
    let mut headers = HeaderMap::new();
    let mut left = most_bytes;
    let mut is_too_large = false;
    let mut buffers = Buffers::default();
    section::take_prefix(&mut section).ok_or(HeadError::Undecodable)?;
    while !section.is_empty() {
        let field = section::take_field(&mut section, &mut buffers).ok_or(HeadError::Undecodable)?;
        is_too_large |= left < field.size();
        left = left.saturating_sub(field.size());
        let name = Name::of(field.name);
        let judged = name.judge(field.value);
        fields.add(name, judged, name == Name::Method && field.value == b"CONNECT");
        if judged.is_some() || is_too_large {
            continue;
        }
        if name.is_pseudo() {
            pseudo(name, field.value).map_err(HeadError::Malformed)?;
            continue;
        }
        let added = HeaderName::from_bytes(field.name)
            .ok()
            .zip(HeaderValue::from_bytes(field.value).ok())
            .is_some_and(|(name, value)| headers.try_append(name, value).is_ok());
        is_too_large |= !added;
    }
    if is_too_large {
        return Err(HeadError::TooLarge);
    }
    match fields.finish() {
        Some(malformed) => Err(HeadError::Malformed(malformed)),
        None => Ok(headers),
    }
}

/// Appends the field section of a request's head; `protocol` is what an extended CONNECT asks for.
pub fn encode_request(
    method: &Method,
    target: &Uri,
    protocol: Option<&str>,
    headers: &HeaderMap,
    section: &mut Vec<u8>,
) {
    section::put_prefix(section);
    match method.as_str() {
        "GET" => section::put_indexed(section, METHOD + 2),
        "POST" => section::put_indexed(section, METHOD + 5),
        method => section::put_value(section, METHOD, method.as_bytes(), false),
    }
    match target.scheme_str() {
        Some("http") => section::put_indexed(section, SCHEME),
        _ => section::put_indexed(section, SCHEME + 1),
    }
    if let Some(authority) = target.authority() {
        section::put_value(section, AUTHORITY, authority.as_str().as_bytes(), false);
    }
    match target.path_and_query().map_or("/", PathAndQuery::as_str) {
        "/" | "" => section::put_indexed(section, PATH),
        path => section::put_value(section, PATH, path.as_bytes(), false),
    }
    if let Some(protocol) = protocol {
        section::put_field(section, ":protocol", protocol.as_bytes(), false);
    }
    put_fields(headers, section);
}

/// Appends the field section of an answer's head.
pub fn encode_response(status: StatusCode, headers: &HeaderMap, section: &mut Vec<u8>) {
    section::put_prefix(section);
    match index_of_status(status.as_u16()) {
        Some(index) => section::put_indexed(section, index),
        None => section::put_value(section, STATUS, status.as_str().as_bytes(), false),
    }
    put_fields(headers, section);
}

/// Appends the field section of trailers.
pub fn encode_trailers(trailers: &HeaderMap, section: &mut Vec<u8>) {
    section::put_prefix(section);
    put_fields(trailers, section);
}

fn put_fields(headers: &HeaderMap, section: &mut Vec<u8>) {
    for (name, value) in headers {
        section::put_field(section, name.as_str(), value.as_bytes(), value.is_sensitive());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(fields: &[(&str, &str)]) -> Vec<u8> {
        let mut section = Vec::new();
        section::put_prefix(&mut section);
        fields.iter().for_each(|(name, value)| section::put_field(&mut section, name, value.as_bytes(), false));
        section
    }

    fn request(fields: &[(&str, &str)]) -> Result<RequestHead, HeadError> {
        read_request(&section(fields), 1024)
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/p?q")];

    #[test]
    fn a_head_is_read() {
        let head = request(&[&GET[..], &[("accept", "*/*"), ("x-own", "1"), ("x-own", "2")]].concat()).expect("a head");
        assert_eq!(head.parts.uri, "https://a.test/p?q");
        assert_eq!((head.parts.method, head.parts.version), (Method::GET, Version::HTTP_3));
        assert_eq!(head.parts.headers["accept"], "*/*");
        assert_eq!(head.parts.headers.get_all("x-own").iter().count(), 2);
        assert_eq!(head.protocol, None);
    }

    #[test]
    fn the_example_of_rfc_9204_is_read() {
        // Appendix B.1: a literal with a name of the static table.
        let section = b"\x00\x00\x51\x0b/index.html";
        let mut rest = &section[..];
        section::take_prefix(&mut rest).expect("a prefix");
        let mut buffers = Buffers::default();
        let field = section::take_field(&mut rest, &mut buffers).expect("a field");
        assert_eq!((field.name, field.value), (&b":path"[..], &b"/index.html"[..]));
    }

    #[test]
    fn coded_texts_are_read() {
        // `www.example.com` in RFC 7541 appendix C.4.1, as `:authority`.
        let mut bytes = section(&[GET[0], GET[1], GET[3]]);
        bytes.extend_from_slice(b"\x50\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        let head = read_request(&bytes, 1024).expect("a head");
        assert_eq!(head.parts.uri.authority().expect("an authority"), "www.example.com");
    }

    #[test]
    fn connect_has_an_authority_and_extended_connect_all() {
        let head = request(&[(":method", "CONNECT"), (":authority", "a.test:443")]).expect("a head");
        assert_eq!(head.parts.uri, "a.test:443");
        let head = request(&[&[(":method", "CONNECT"), (":protocol", "websocket")], &GET[1..]].concat());
        let head = head.expect("a head");
        assert_eq!((head.parts.uri.path(), head.protocol.as_deref()), ("/p", Some("websocket")));
    }

    #[test]
    fn malformed_heads_are_told() {
        let with =
            |field: (&'static str, &'static str)| request(&[&GET[..], &[field]].concat()).expect_err("malformed");
        for (field, malformed) in [
            (("connection", "close"), Malformed::ConnectionSpecific),
            (("te", "gzip"), Malformed::ConnectionSpecific),
            (("X-Upper", "1"), Malformed::FieldName),
            (("x", "a\r\nb"), Malformed::FieldValue),
            ((":path", "/"), Malformed::RepeatedPseudoField),
            ((":status", "200"), Malformed::UnknownPseudoField),
        ] {
            assert_eq!(with(field), HeadError::Malformed(malformed), "{field:?}");
        }
        let late = [&GET[..3], &[("x", "1"), GET[3]]].concat();
        assert_eq!(request(&late).expect_err("malformed"), HeadError::Malformed(Malformed::LatePseudoField));
        let missing = request(&GET[..3]).expect_err("malformed");
        assert_eq!(missing, HeadError::Malformed(Malformed::MissingPseudoField));
        let trailers = read_trailers(&section(&GET), 1024).expect_err("malformed");
        assert_eq!(trailers, HeadError::Malformed(Malformed::PseudoFieldInTrailers));
    }

    #[test]
    fn an_answer_has_a_status_and_nothing_else_before_its_fields() {
        let read = |fields: &[(&str, &str)]| read_response(&section(fields), 1024);
        let head = read(&[(":status", "204"), ("server", "x")]).expect("a head");
        assert_eq!((head.status, head.version), (StatusCode::NO_CONTENT, Version::HTTP_3));
        assert_eq!(head.headers["server"], "x");
        for (fields, malformed) in [
            (&[("server", "x")][..], Malformed::MissingPseudoField),
            (&[(":status", "200"), (":status", "200")], Malformed::RepeatedPseudoField),
            (&[("server", "x"), (":status", "200")], Malformed::LatePseudoField),
            (&[(":status", "200"), (":path", "/")], Malformed::UnknownPseudoField),
            (&[(":status", "20")], Malformed::Status),
            (&[(":status", "099")], Malformed::Status),
            (&[(":status", "200"), ("connection", "close")], Malformed::ConnectionSpecific),
        ] {
            assert_eq!(read(fields).expect_err("malformed"), HeadError::Malformed(malformed), "{fields:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read() {
        for (method, target, protocol) in [
            ("GET", "https://a.test/p?q", None),
            ("POST", "https://a.test/", None),
            ("PATCH", "http://a.test:81/x", None),
            ("CONNECT", "https://a.test/chat", Some("websocket")),
        ] {
            let (method, target) = (method.parse().expect("a method"), target.parse().expect("a target"));
            let mut headers = HeaderMap::new();
            headers.insert("x-own", HeaderValue::from_static("1"));
            let mut section = Vec::new();
            encode_request(&method, &target, protocol, &headers, &mut section);
            let head = read_request(&section, 1024).expect("a head");
            assert_eq!((&head.parts.method, &head.parts.uri), (&method, &target));
            assert_eq!((head.protocol.as_deref(), &head.parts.headers), (protocol, &headers));
        }
    }

    #[test]
    fn sections_that_need_a_table_or_are_none_are_undecodable() {
        for section in [
            &b""[..],
            b"\x00",
            b"\x01\x00\xc1",
            b"\x00\x80\xc1",
            b"\x00\x00\x80",
            b"\x00\x00\x40\x00",
            b"\x00\x00\x10",
            b"\x00\x00\x00\x00",
            b"\x00\x00\xff\x24",
            b"\x00\x00\x51\x0b/ind",
            b"\x00\x00\x51\x81\x00",
        ] {
            assert_eq!(read_trailers(section, 1024), Err(HeadError::Undecodable), "{section:x?}");
        }
    }

    #[test]
    fn what_is_larger_than_its_bound_is_told_and_never_held() {
        // An index of one byte stands for a field of some eighty: two thousand of them for 160 KiB.
        let mut bomb = section(&GET);
        bomb.extend(std::iter::repeat_n(0xc0 | 38, 2000));
        assert_eq!(read_request(&bomb, 1024).expect_err("a bomb"), HeadError::TooLarge);
        assert_eq!(read_trailers(&section(&[("x", "1")]), 33), Err(HeadError::TooLarge));
        assert!(read_trailers(&section(&[("x", "1")]), 34).is_ok());
    }

    #[test]
    fn what_is_encoded_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        headers.insert("x-own", HeaderValue::from_static("1"));
        let mut bytes = Vec::new();
        encode_trailers(&headers, &mut bytes);
        assert_eq!(read_trailers(&bytes, 1024), Ok(headers));
        for (status, wanted) in [(200, &b"\x00\x00\xd9"[..]), (201, b"\x00\x00\x5f\x09\x03201")] {
            let mut bytes = Vec::new();
            encode_response(StatusCode::from_u16(status).expect("a status"), &HeaderMap::new(), &mut bytes);
            assert_eq!(bytes, wanted);
        }
    }
}
