//! Another protocol on the connection of a request (RFC 9110 section 7.8), such as WebSocket (RFC 6455). Between the two
//! sides a request asks for it as in HTTP/1.1, whatever each side speaks: over HTTP/2 it is an extended CONNECT (RFC 8441).

use std::rc::Rc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};
use plimsoll_fields::{Fields, RequestHead, ResponseHead};
use sha1::{Digest, Sha1};

use crate::config::Upgrades;
use crate::error::{Error, ErrorKind};

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Upgrade {
    protocol: HeaderValue,
    /// `Sec-WebSocket-Key`, of the client or made in its place.
    key: Option<HeaderValue>,
    /// The client has not sent the key, and is not told what comes of it.
    by_connect: bool,
}

impl Upgrade {
    /// What the request asks for, if it may be had here; what may not is no longer asked for, as if the field were unknown.
    /// An extended CONNECT becomes the GET that it stands for.
    pub(super) fn of_request(
        head: &mut RequestHead,
        has_body: bool,
        allowed: &Upgrades,
    ) -> Result<Option<Rc<Self>>, ErrorKind> {
        if head.version >= Version::HTTP_2 {
            return Self::of_connect(head, allowed);
        }
        if head.version != Version::HTTP_11 || has_body {
            return Ok(None);
        }
        let mut asked = head.headers.get_all(UPGRADE);
        let (Some(protocol), None) = (asked.next(), asked.next()) else { return Ok(None) };
        let is_allowed = protocol.to_str().is_ok_and(|protocol| allowed.allow(protocol));
        if !is_allowed || !names_upgrade(&head.headers) {
            return Ok(None);
        }
        let key = head.headers.get(SEC_WEBSOCKET_KEY).cloned();
        Ok(Some(Rc::new(Self { protocol: protocol.clone(), key, by_connect: false })))
    }

    fn of_connect(head: &mut RequestHead, allowed: &Upgrades) -> Result<Option<Rc<Self>>, ErrorKind> {
        let Some(protocol) = head.protocol.take() else { return Ok(None) };
        if head.method != Method::CONNECT {
            return Err(ErrorKind::BadRequest(":protocol without CONNECT"));
        }
        // There is no other protocol of which it is known how to ask for it over HTTP/1.1.
        if !protocol.eq_ignore_ascii_case(WEBSOCKET) || !allowed.allow(WEBSOCKET) {
            return Err(ErrorKind::UnknownProtocol);
        }
        let protocol = HeaderValue::from_static(WEBSOCKET);
        let key = HeaderValue::try_from(BASE64_STANDARD.encode(random())).ok();
        head.method = Method::GET;
        // What routers look at.
        head.headers.insert(UPGRADE, protocol.clone());
        Ok(Some(Rc::new(Self { protocol, key, by_connect: true })))
    }

    /// Asks for it in a head whose fields of the client's connection are gone.
    pub(super) fn ask(&self, headers: &mut Fields) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
        if let Some(key) = &self.key {
            headers.insert(SEC_WEBSOCKET_KEY, key.clone());
        }
    }

    /// Looks whether an answer agrees to it. Fails where the answer would mean to the client what the endpoint has not said.
    pub(super) fn is_agreed(&self, answer: &mut ResponseHead) -> Result<bool, Error> {
        if answer.status != StatusCode::SWITCHING_PROTOCOLS {
            // RFC 8441 section 4: to the client of an extended CONNECT, any 2xx would be the protocol that it asked for.
            return match self.by_connect && answer.status.is_success() {
                true => Err(Error::new(ErrorKind::UpstreamProtocol, "the endpoint ignores the upgrade")),
                false => Ok(false),
            };
        }
        let protocol = answer.headers.get(UPGRADE);
        if !protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(self.protocol.as_bytes())) {
            return Err(Error::new(ErrorKind::UpstreamProtocol, "the endpoint switches to another protocol"));
        }
        if let Some(key) = &self.key {
            let proof = accept(key);
            match answer.headers.get(SEC_WEBSOCKET_ACCEPT) {
                Some(given) if self.by_connect && *given != proof => {
                    return Err(Error::new(ErrorKind::UpstreamProtocol, "the endpoint has not read Sec-WebSocket-Key"));
                }
                Some(_) => {}
                // Over HTTP/2 it gives none.
                None => answer.headers.insert(SEC_WEBSOCKET_ACCEPT, proof),
            }
        }
        Ok(true)
    }
}

const WEBSOCKET: &str = "websocket";

fn names_upgrade(headers: &Fields) -> bool {
    let options = headers.get_all(CONNECTION).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// The proof that a server has read the key (RFC 6455 section 4.2.2).
fn accept(key: &HeaderValue) -> HeaderValue {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let proof = HeaderValue::try_from(BASE64_STANDARD.encode(hash.finalize()));
    // Base64 is always a value.
    proof.unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A key need only differ from others, so that no cache answers for an endpoint.
fn random() -> [u8; 16] {
    let mut random = [0; 16];
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    random
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;

    fn websocket() -> Upgrades {
        Upgrades(vec!["websocket".to_owned(), "foo/2".to_owned()])
    }

    fn asked(request: http::request::Builder, has_body: bool) -> Option<Rc<Upgrade>> {
        let mut head = RequestHead::from(request.body(()).expect("valid"));
        Upgrade::of_request(&mut head, has_body, &websocket()).expect("no mistake")
    }

    fn get() -> http::request::Builder {
        Request::get("/").header("connection", "keep-alive, Upgrade")
    }

    fn agreed(upgrade: &Upgrade, answer: http::response::Builder) -> Result<Fields, bool> {
        let mut head = ResponseHead::from(answer.body(()).expect("valid").into_parts().0);
        match upgrade.is_agreed(&mut head) {
            Ok(true) => Ok(head.headers),
            Ok(false) => Err(false),
            Err(_) => Err(true),
        }
    }

    #[test]
    fn rfc9110_7_8_only_what_is_allowed_and_asked_for_in_full_is_asked_for() {
        assert!(asked(get().header("upgrade", "WebSocket"), false).is_some());
        assert!(asked(get().header("upgrade", "foo/2"), false).is_some());
        for protocol in ["h2c", "websocket, foo/2", "foo", ""] {
            assert!(asked(get().header("upgrade", protocol), false).is_none(), "{protocol}");
        }
        assert!(asked(get(), false).is_none());
        assert!(asked(get().header("upgrade", "websocket"), true).is_none(), "its body would be the protocol's");
        assert!(
            asked(Request::get("/").header("upgrade", "websocket"), false).is_none(),
            "the field is of no connection"
        );
        assert!(asked(get().header("upgrade", "websocket").version(Version::HTTP_10), false).is_none());
        assert!(asked(get().header("upgrade", "websocket").header("upgrade", "foo/2"), false).is_none());
    }

    #[test]
    fn rfc8441_4_an_extended_connect_becomes_a_get() {
        let connect = |protocol: &'static str| {
            let request = Request::connect("https://a/chat").version(Version::HTTP_2);
            let mut head = RequestHead::from(request.body(()).expect("valid"));
            head.protocol = Some(protocol.into());
            let upgrade = Upgrade::of_request(&mut head, false, &websocket());
            upgrade.map(|upgrade| (head, upgrade.expect("it asks")))
        };
        let (mut head, upgrade) = connect("websocket").expect("allowed");
        assert_eq!(head.method, Method::GET);
        upgrade.ask(&mut head.headers);
        assert_eq!(
            (&head.headers["connection"], &head.headers["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        assert_eq!(head.headers["sec-websocket-key"].len(), 24);
        assert_eq!(connect("connect-udp").err(), Some(ErrorKind::UnknownProtocol));
        assert_eq!(connect("foo/2").err(), Some(ErrorKind::UnknownProtocol));
        let switched = || Response::builder().status(101).header("upgrade", "websocket");
        assert!(agreed(&upgrade, switched()).is_ok());
        let proof = accept(&head.headers["sec-websocket-key"]);
        assert!(agreed(&upgrade, switched().header("sec-websocket-accept", proof)).is_ok());
        assert_eq!(agreed(&upgrade, switched().header("sec-websocket-accept", "x")).err(), Some(true));
        assert_eq!(agreed(&upgrade, Response::builder().status(200)).err(), Some(true), "it would be taken for a yes");
        assert_eq!(agreed(&upgrade, Response::builder().status(403)).err(), Some(false));
    }

    #[test]
    fn an_endpoint_switches_to_what_was_asked_for_or_not_at_all() {
        let request = get().header("upgrade", "websocket").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let upgrade = asked(request, false).expect("it asks");
        let switched = Response::builder().status(101).header("upgrade", "WebSocket");
        // RFC 6455 section 1.3 has the example.
        let headers = agreed(&upgrade, switched).expect("agreed");
        assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(agreed(&upgrade, Response::builder().status(101).header("upgrade", "foo/2")).err(), Some(true));
        assert_eq!(agreed(&upgrade, Response::builder().status(101)).err(), Some(true));
        assert_eq!(agreed(&upgrade, Response::builder().status(200)).err(), Some(false), "the client sees what it is");
    }
}
