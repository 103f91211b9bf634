//! Heads and trailers as field sections (RFC 9114 section 4).

use http::uri::PathAndQuery;
use http::{StatusCode, Version};
use plimsoll_fields::{Fields, HeadReader, Name, Part, RequestHead, ResponseHead};

pub use plimsoll_fields::HeadError;

use crate::section::{self, Buffers};
use crate::static_table::{AUTHORITY, METHOD, PATH, SCHEME, STATUS, index_of_status};

/// Reads the head of a request whose fields may have so many bytes, counted as in RFC 9114 section 4.2.2.
pub fn read_request(section: &[u8], most_bytes: usize) -> Result<RequestHead, HeadError> {
    read(section, Part::Request, most_bytes)?.into_request(Version::HTTP_3)
}

/// Reads the head of an answer, or of one in advance, whose fields may have so many bytes.
pub fn read_response(section: &[u8], most_bytes: usize) -> Result<ResponseHead, HeadError> {
    read(section, Part::Response, most_bytes)?.into_response(Version::HTTP_3)
}

/// Reads trailers whose fields may have so many bytes.
pub fn read_trailers(section: &[u8], most_bytes: usize) -> Result<Fields, HeadError> {
    read(section, Part::Trailers, most_bytes)?.into_trailers()
}

fn read(mut section: &[u8], part: Part, most_bytes: usize) -> Result<HeadReader, HeadError> {
    let mut head = HeadReader::new(part, most_bytes);
    let mut buffers = Buffers::default();
    section::take_prefix(&mut section).ok_or(HeadError::Undecodable)?;
    while !section.is_empty() {
        let field = section::take_field(&mut section, &mut buffers).ok_or(HeadError::Undecodable)?;
        if head.has_room_for(field.name.len() + field.value.len()) {
            let never_indexed = field.never_indexed;
            let field = Name::of(field.name).with(field.value);
            head.add(if never_indexed { field.never_indexed() } else { field });
        }
    }
    Ok(head)
}

/// Appends the field section of a request's head.
pub fn encode_request(head: &RequestHead, section: &mut Vec<u8>) {
    let RequestHead { method, uri, headers, protocol, .. } = head;
    section::put_prefix(section);
    match method.as_str() {
        "GET" => section::put_indexed(section, METHOD + 2),
        "POST" => section::put_indexed(section, METHOD + 5),
        method => section::put_value(section, METHOD, method.as_bytes(), false),
    }
    match uri.scheme_str() {
        Some("http") => section::put_indexed(section, SCHEME),
        _ => section::put_indexed(section, SCHEME + 1),
    }
    if let Some(authority) = uri.authority() {
        section::put_value(section, AUTHORITY, authority.as_str().as_bytes(), false);
    }
    match uri.path_and_query().map_or("/", PathAndQuery::as_str) {
        "/" | "" => section::put_indexed(section, PATH),
        path => section::put_value(section, PATH, path.as_bytes(), false),
    }
    if let Some(protocol) = protocol {
        section::put_field(section, ":protocol", protocol.as_bytes(), false);
    }
    put_fields(headers, section);
}

/// Appends the field section of an answer's head.
pub fn encode_response(status: StatusCode, headers: &Fields, section: &mut Vec<u8>) {
    section::put_prefix(section);
    match index_of_status(status.as_u16()) {
        Some(index) => section::put_indexed(section, index),
        None => section::put_value(section, STATUS, status.as_str().as_bytes(), false),
    }
    put_fields(headers, section);
}

/// Appends the field section of trailers.
pub fn encode_trailers(trailers: &Fields, section: &mut Vec<u8>) {
    section::put_prefix(section);
    put_fields(trailers, section);
}

fn put_fields(headers: &Fields, section: &mut Vec<u8>) {
    for (name, value) in headers {
        section::put_field(section, name.as_str(), value.as_bytes(), value.is_sensitive());
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderName, HeaderValue, Method};
    use plimsoll_fields::Malformed;

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
        assert_eq!(head.uri, "https://a.test/p?q");
        assert_eq!((head.method, head.version), (Method::GET, Version::HTTP_3));
        assert_eq!(head.headers["accept"], "*/*");
        assert_eq!(head.headers.get_all("x-own").count(), 2);
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
    fn what_nobody_is_to_keep_stays_so() {
        let mut bytes = section(&[]);
        section::put_field(&mut bytes, "x-own", b"1", true);
        section::put_field(&mut bytes, "cookie", b"1", true);
        section::put_field(&mut bytes, "accept", b"1", false);
        let fields = read_trailers(&bytes, 1024).expect("fields");
        assert_eq!(["x-own", "cookie", "accept"].map(|name| fields[name].is_sensitive()), [true, true, false]);
        let mut again = Vec::new();
        encode_trailers(&fields, &mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn coded_texts_are_read() {
        // `www.example.com` in RFC 7541 appendix C.4.1, as `:authority`.
        let mut bytes = section(&[GET[0], GET[1], GET[3]]);
        bytes.extend_from_slice(b"\x50\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff");
        let head = read_request(&bytes, 1024).expect("a head");
        assert_eq!(head.uri.authority().expect("an authority"), "www.example.com");
    }

    #[test]
    fn connect_has_an_authority_and_extended_connect_all() {
        let head = request(&[(":method", "CONNECT"), (":authority", "a.test:443")]).expect("a head");
        assert_eq!(head.uri, "a.test:443");
        let head = request(&[&[(":method", "CONNECT"), (":protocol", "websocket")], &GET[1..]].concat());
        let head = head.expect("a head");
        assert_eq!((head.uri.path(), head.protocol.as_deref()), ("/p", Some("websocket")));
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
        let connect = request(&[&[(":method", "CONNECT")], &GET[1..]].concat()).expect_err("malformed");
        assert_eq!(connect, HeadError::Malformed(Malformed::UnknownPseudoField));
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
            let mut headers = Fields::new();
            headers.insert(HeaderName::from_static("x-own"), HeaderValue::from_static("1"));
            let asked = RequestHead {
                method: method.parse().expect("a method"),
                uri: target.parse().expect("a target"),
                version: Version::HTTP_3,
                headers,
                protocol: protocol.map(Into::into),
            };
            let mut section = Vec::new();
            encode_request(&asked, &mut section);
            let head = read_request(&section, 1024).expect("a head");
            assert_eq!((&head.method, &head.uri), (&asked.method, &asked.uri));
            assert_eq!((&head.protocol, &head.headers), (&asked.protocol, &asked.headers));
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
        assert!(read_trailers(&section(&[("x", "1"); 4096]), 1 << 20).is_ok());
        assert_eq!(read_trailers(&section(&[("x", "1"); 4097]), 1 << 20), Err(HeadError::TooLarge));
    }

    #[test]
    fn what_is_encoded_is_read() {
        let mut headers = Fields::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(HeaderName::from_static("x-own"), HeaderValue::from_static("1"));
        let mut bytes = Vec::new();
        encode_trailers(&headers, &mut bytes);
        assert_eq!(read_trailers(&bytes, 1024), Ok(headers));
        for (status, wanted) in [(200, &b"\x00\x00\xd9"[..]), (201, b"\x00\x00\x5f\x09\x03201")] {
            let mut bytes = Vec::new();
            encode_response(StatusCode::from_u16(status).expect("a status"), &Fields::new(), &mut bytes);
            assert_eq!(bytes, wanted);
        }
    }
}
