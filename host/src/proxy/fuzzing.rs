//! What the proxy reads of strangers, as functions of bytes; see `crate::fuzzing`.

use std::rc::Rc;
use std::sync::LazyLock;

use http::header::{FORWARDED, HOST};
use http::{HeaderName, HeaderValue, Version};
use plimsoll_fields::{Fields, RequestHead};

use super::client::Client;
use super::first_bytes::{FirstBytes, Interest};
use super::forwarding::{self, is_forwarding};
use super::hops::{X_FORWARDED_FOR, X_FORWARDED_PROTO};
use super::source::Source;
pub use super::udp::read_quic;
use super::{load_report, rdp};
use crate::config::{Config, Listener};

/// A report of an endpoint's load: which of the three fields, and its value.
pub fn read_load_report(bytes: &[u8]) {
    let names = ["endpoint-load-metrics", "endpoint-load-metrics-json", "endpoint-load-metrics-bin"];
    let Some((choice, value)) = bytes.split_first() else { return };
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let mut headers = Fields::new();
    headers.insert(HeaderName::from_static(names[usize::from(*choice) % names.len()]), value);
    // A broken one is an answer, too.
    let _ = load_report::take(&mut headers);
    assert!(headers.is_empty(), "the client does not get it");
}

/// How a TLS client greets. The same must be found in whatever pieces it comes.
pub fn read_greeting(bytes: &[u8]) {
    const TLS: Interest = Interest { tls: true, rdp: false };
    let bytes = &bytes[..bytes.len().min(2048)];
    let whole = FirstBytes::in_pieces([bytes].into_iter(), TLS);
    let single = FirstBytes::in_pieces(bytes.chunks(1), TLS);
    assert_eq!(whole.greeting(), single.greeting());
}

/// The first message of a Remote Desktop client.
pub fn read_rdp(bytes: &[u8]) {
    let name = b"mstshash";
    let found = rdp::cookie(bytes, name);
    if let Some(value) = found {
        assert!(!value.contains(&b'\r'), "a cookie ends with its line");
    }
    let length = match *bytes {
        [_, _, high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
        _ => return,
    };
    if length <= bytes.len() {
        assert_eq!(
            found,
            rdp::cookie(&[bytes, &b"Cookie: mstshash=x\r\n"[..]].concat(), name),
            "what follows does not count"
        );
    }
}

/// Header fields by which hops tell of clients: a letter for the name, the value, a line feed, and so on.
pub fn read_forwarding(bytes: &[u8]) {
    let Some((choice, lines)) = bytes.split_first() else { return };
    let listeners = &LISTENERS.listeners;
    let listener = &listeners[usize::from(*choice) % listeners.len()];
    let fields = || lines.split(|byte| *byte == b'\n').filter_map(field);
    let client = Client::new(([127, 0, 0, 1], 4711).into(), None);
    let (head, source) = forwarded(fields().collect(), &client, listener);
    let told: Vec<&HeaderValue> = head.headers.get_all(&X_FORWARDED_FOR).collect();
    match listener.name.as_str() {
        "trusting" | "believing" => {
            assert!(told.len() == 1 && told[0].as_bytes().ends_with(b"127.0.0.1"), "we are the last");
        }
        _ => {
            assert_eq!(told, [&source.ip]);
            assert!(!head.headers.contains(FORWARDED));
            assert!(head.headers.names().filter(|name| is_forwarding(name)).count() <= 5, "nothing passes");
        }
    }
    // Whatever a client wrote, what a trusted hop appends decides.
    for (name, last) in [(X_FORWARDED_FOR, "192.0.2.7"), (FORWARDED, "for=192.0.2.7")] {
        let mut headers: Fields = fields().filter(|(known, _)| *known == name).collect();
        headers.append(name, HeaderValue::from_static(last));
        let (_, source) = forwarded(headers, &client, &listeners[0]);
        assert_eq!(source.address.ip(), std::net::IpAddr::from([192, 0, 2, 7]));
    }
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_first()?;
    let name = match name {
        b'a' => X_FORWARDED_FOR,
        b'b' => FORWARDED,
        b'c' => X_FORWARDED_PROTO,
        b'd' => HeaderName::from_static("x-forwarded-host"),
        b'e' => HeaderName::from_static("x-forwarded-port"),
        b'f' => HeaderName::from_static("x-real-ip"),
        b'g' => HeaderName::from_static("x-forwarded-other"),
        _ => HOST,
    };
    Some((name, HeaderValue::from_bytes(value).ok()?))
}

fn forwarded(headers: Fields, client: &Client, listener: &Listener) -> (RequestHead, Rc<Source>) {
    let mut head = RequestHead { headers, ..RequestHead::default() };
    let source = client.source_of(listener.trusted.as_ref(), &head.headers);
    forwarding::forward(&mut head, client, &source, listener, Version::HTTP_11);
    (head, source)
}

static LISTENERS: LazyLock<Config> = LazyLock::new(|| {
    let text = "listeners:
  - { name: trusting, bind: '127.0.0.1:1', cluster: a, trusted: [ 127.0.0.0/8, 10.0.0.0/8, fd00::/8 ] }
  - { name: believing, bind: '127.0.0.1:2', cluster: a, forwarded: append }
  - { name: replacing, bind: '127.0.0.1:3', cluster: a, forwarded: replace, trusted: [ 127.0.0.0/8 ] }
  - { name: alone, bind: '127.0.0.1:4', cluster: a }
clusters: [ { name: a, endpoints: [ '127.0.0.1:5' ] } ]";
    crate::config::parse(text, "fuzzing").expect("it is valid")
});
