//! From a request's head to the values of declared attributes.

use http::header::{COOKIE, HOST};
use plimsoll_fields::RequestHead;

use super::client::Client;
use super::first_bytes::FirstBytes;
use super::greeting::Greeting;
use super::source::Source;
use super::token::claim;
use crate::plugin::{Attribute, AttributeValues, CertificatePart};

/// What there is to see of a request, or of a TCP connection, which has no head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visible<'a> {
    pub listener: &'a str,
    /// At the other end of the connection.
    pub client: &'a Client,
    pub source: &'a Source,
    pub head: Option<&'a RequestHead>,
    /// Of a TCP connection, as far as they were looked at.
    pub first_bytes: &'a [u8],
    /// What a TLS client has asked for.
    pub greeting: Greeting<'a>,
    /// What has been read of a body; none where there is no body.
    pub body: Option<&'a [u8]>,
    /// Label of the route that was taken, once there is one.
    pub route: Option<&'a str>,
}

impl<'a> Visible<'a> {
    pub(super) fn of_request(
        listener: &'a str,
        client: &'a Client,
        source: &'a Source,
        head: &'a RequestHead,
        body: Option<&'a [u8]>,
    ) -> Self {
        let greeting = client.greeting().unwrap_or_default();
        Self { listener, client, source, head: Some(head), first_bytes: b"", greeting, body, route: None }
    }

    pub(super) fn of_connection(listener: &'a str, client: &'a Client, first_bytes: &'a FirstBytes) -> Self {
        let (source, greeting) = (&*client.source, first_bytes.greeting().unwrap_or_default());
        Self {
            listener,
            client,
            source,
            head: None,
            first_bytes: first_bytes.as_slice(),
            greeting,
            body: None,
            route: None,
        }
    }

    /// Writes the values of `attributes` in their order.
    pub(super) fn fill(&self, attributes: &[Attribute], values: &mut AttributeValues) {
        values.clear();
        for attribute in attributes {
            self.push(attribute, values);
        }
    }

    fn push(&self, attribute: &Attribute, values: &mut AttributeValues) {
        match attribute {
            Attribute::Listener => values.push(Some(self.listener.as_bytes())),
            Attribute::SourceAddress => values.push(Some(self.source.ip.as_bytes())),
            Attribute::SourcePort => match self.source.address.port() {
                0 => values.push(None),
                port => values.push(Some(port.to_string().as_bytes())),
            },
            Attribute::ServerName => values.push(self.greeting.server_name.map(str::as_bytes)),
            Attribute::ApplicationProtocol => values.push(self.greeting.application_protocols),
            Attribute::Route => values.push(self.route.map(str::as_bytes)),
            Attribute::ClientCertificate(part) => {
                let shown = self.client.certificate();
                values.push(shown.map(|shown| match part {
                    CertificatePart::Subject => shown.subject.as_bytes(),
                    CertificatePart::Names => shown.names.as_bytes(),
                    CertificatePart::Fingerprint => shown.fingerprint.as_bytes(),
                }));
            }
            Attribute::BodyPrefix(bytes) => {
                values.push(self.body.map(|body| &body[..body.len().min(*bytes as usize)]));
            }
            Attribute::Never => values.push(None),
            of_head => match self.head {
                Some(head) => push_from_head(head, self.source, of_head, values),
                None => values.push(None),
            },
        }
    }
}

fn push_from_head(head: &RequestHead, source: &Source, attribute: &Attribute, values: &mut AttributeValues) {
    match attribute {
        Attribute::Method => values.push(Some(head.method.as_str().as_bytes())),
        Attribute::Scheme => values.push(Some(source.scheme.as_bytes())),
        Attribute::Authority => values.push(authority(head)),
        Attribute::Path => values.push(Some(head.uri.path().as_bytes())),
        Attribute::Query => values.push(head.uri.query().map(str::as_bytes)),
        Attribute::Header(name) => {
            let mut fields = head.headers.get_all(name);
            match (fields.next(), fields.next()) {
                (first, None) => values.push(first.map(http::HeaderValue::as_bytes)),
                _ => {
                    let fields = head.headers.get_all(name).map(http::HeaderValue::as_bytes);
                    values.push_parts(fields, if *name == COOKIE { b"; " } else { b", " });
                }
            }
        }
        Attribute::Cookie(name) => values.push(cookie(head, name.as_bytes())),
        Attribute::QueryParameter(name) => values.push(query_parameter(head, name)),
        Attribute::Claim { header, name } => {
            let found = head.headers.get_all(header).find_map(|field| claim(field.as_bytes(), name));
            values.push(found.as_deref());
        }
        Attribute::SourceAddress
        | Attribute::SourcePort
        | Attribute::ServerName
        | Attribute::ApplicationProtocol
        | Attribute::Listener
        | Attribute::Route
        | Attribute::ClientCertificate(_)
        | Attribute::BodyPrefix(_)
        | Attribute::Never => values.push(None),
    }
}

/// Host and port that the client asked for: from the target if it has them (HTTP/2, absolute form), else from `Host`.
pub(super) fn authority(head: &RequestHead) -> Option<&[u8]> {
    match head.uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => head.headers.get(HOST).map(http::HeaderValue::as_bytes),
    }
}

/// Value of the first cookie of a name, over all `Cookie` fields (RFC 6265 section 5.4; HTTP/2 may split them).
fn cookie<'a>(head: &'a RequestHead, name: &[u8]) -> Option<&'a [u8]> {
    head.headers.get_all(COOKIE).flat_map(|field| field.as_bytes().split(|byte| *byte == b';')).find_map(|pair| {
        let pair = pair.trim_ascii();
        let (key, value) = split_once(pair, b'=')?;
        (key == name).then_some(value)
    })
}

fn query_parameter<'a>(head: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    head.uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value.as_bytes())
    })
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn values(request: http::request::Builder, attributes: &[Attribute]) -> Vec<Option<String>> {
        let head = RequestHead::from(request.body(()).expect("the request is valid"));
        let client = Client::new(([192, 0, 2, 7], 4711).into(), None);
        let mut values = AttributeValues::default();
        Visible::of_request("web", &client, &client.source, &head, None).fill(attributes, &mut values);
        values.iter().map(|value| value.map(|value| String::from_utf8_lossy(value).into_owned())).collect()
    }

    #[test]
    fn cookies_are_found_in_any_field_and_by_their_whole_name() {
        let request = Request::get("/").header("cookie", "xsid=0; a=b").header("cookie", " sid=1; sid=2");
        let found = values(request, &[Attribute::Cookie("sid".into()), Attribute::Cookie("id".into())]);
        assert_eq!(found, [Some("1".into()), None]);
    }

    #[test]
    fn fields_of_one_name_are_joined() {
        let request = Request::get("/").header("x-a", "1").header("x-a", "2").header("x-b", "3");
        let request = request.header("cookie", "a=1").header("cookie", "b=2");
        let header = |name: &str| Attribute::Header(name.parse().expect("a name"));
        let found = values(request, &[header("x-a"), header("x-b"), header("x-c"), header("cookie")]);
        assert_eq!(found, [Some("1, 2".into()), Some("3".into()), None, Some("a=1; b=2".into())]);
    }

    #[test]
    fn the_target_is_seen_as_sent() {
        let request = Request::get("http://example.com:81/a%2Fb?x=1&y").header("host", "other");
        let found = values(
            request,
            &[
                Attribute::Authority,
                Attribute::Path,
                Attribute::Query,
                Attribute::QueryParameter("x".into()),
                Attribute::QueryParameter("y".into()),
                Attribute::SourceAddress,
                Attribute::Scheme,
            ],
        );
        let expected = ["example.com:81", "/a%2Fb", "x=1&y", "1", "", "192.0.2.7", "http"];
        assert_eq!(found, expected.map(|value| Some(value.to_owned())));
    }
}
