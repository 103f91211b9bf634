//! Who forwarded for whom: the fields by which proxies tell each other and the endpoint where a request came from.
//! X-Forwarded-For, -Proto, -Host and -Port, X-Real-IP and `Forwarded` (RFC 7239). What a hop says that is not trusted is
//! thrown away, whatever its name, and our own knowledge takes its place; what a trusted hop says is kept, and the hop is
//! appended.

use http::header::{FORWARDED, HOST, VIA};
use http::{HeaderName, HeaderValue, Version};
use plimsoll_fields::{Fields, RequestHead};

use super::client::Client;
use super::hops::{X_FORWARDED_FOR, X_FORWARDED_PROTO};
use super::source::Source;
use crate::config::{Forwarded, Listener};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whether endpoints take a field for a proxy's word about the client: those that we write, and others that begin alike
/// and are believed here and there, such as X-Forwarded-Prefix and X-Forwarded-Ssl.
pub(super) fn is_forwarding(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") || *name == FORWARDED || *name == X_REAL_IP
}

/// Tells the endpoint who forwarded. `received` is the version of the request as it came, its target and `Host` are
/// already those that the endpoint gets.
pub(super) fn forward(
    head: &mut RequestHead,
    client: &Client,
    source: &Source,
    listener: &Listener,
    received: Version,
) {
    let headers = &mut head.headers;
    let continued = match listener.forwarded {
        Forwarded::Off => return,
        Forwarded::Replace => false,
        // Without networks to tell hops apart, `append` means whoever connects.
        Forwarded::Append => source.by_trusted_hop || listener.trusted.is_none(),
    };
    headers.reserve(6);
    if continued {
        append(headers, client, source);
    } else {
        replace(headers, source);
    }
    if !headers.contains(X_FORWARDED_PORT) {
        let port = port(headers);
        headers.append(X_FORWARDED_PORT, port);
    }
    let via = match received {
        Version::HTTP_2 => "2.0 plimsoll",
        Version::HTTP_3 => "3.0 plimsoll",
        Version::HTTP_10 => "1.0 plimsoll",
        _ => "1.1 plimsoll",
    };
    headers.append(VIA, HeaderValue::from_static(via));
}

/// Tells who the client is by its certificate, in the place of whatever it has said itself. What a trusted hop says is kept,
/// where we have not asked for a certificate ourselves.
pub(super) fn certify(headers: &mut Fields, client: &Client, source: &Source, listener: &Listener) {
    let asks = listener.tls.as_ref().is_some_and(|tls| tls.client_certificates.is_some());
    if asks || !source.by_trusted_hop {
        headers.remove(X_FORWARDED_CLIENT_CERT);
    }
    if let Some(certificate) = client.certificate() {
        headers.insert(X_FORWARDED_CLIENT_CERT, certificate.forwarded.clone());
    }
}

/// A chain begins here. `Forwarded` is not begun, since nearly all that read it read the others, too.
fn replace(headers: &mut Fields, source: &Source) {
    // Of the certificate it is ours alone already.
    headers.retain(|name, _| !is_forwarding(name) || *name == X_FORWARDED_CLIENT_CERT);
    headers.append(X_FORWARDED_FOR, source.ip.clone());
    headers.append(X_REAL_IP, source.ip.clone());
    headers.append(X_FORWARDED_PROTO, HeaderValue::from_static(source.scheme));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.append(X_FORWARDED_HOST, host);
    }
}

/// The chain goes on: lists get whoever handed the request to us, and what was not told is told.
fn append(headers: &mut Fields, client: &Client, source: &Source) {
    let for_whom = joined(headers, &X_FORWARDED_FOR, client.ip.as_bytes());
    headers.insert(X_FORWARDED_FOR, for_whom.unwrap_or_else(|| client.ip.clone()));
    if headers.contains(FORWARDED) {
        let element = element(client, headers.get(HOST));
        match joined(headers, &FORWARDED, &element) {
            Some(elements) => headers.insert(FORWARDED, elements),
            None => drop(headers.remove(FORWARDED)),
        }
    }
    or_insert(headers, X_REAL_IP, || Some(source.ip.clone()));
    or_insert(headers, X_FORWARDED_PROTO, || Some(HeaderValue::from_static(source.scheme)));
    let host = headers.get(HOST).cloned();
    or_insert(headers, X_FORWARDED_HOST, || host);
}

fn or_insert(headers: &mut Fields, name: HeaderName, value: impl FnOnce() -> Option<HeaderValue>) {
    if !headers.contains(&name)
        && let Some(value) = value()
    {
        headers.append(name, value);
    }
}

/// One list of all fields of a name, and `last` at its end.
fn joined(headers: &Fields, name: &HeaderName, last: &[u8]) -> Option<HeaderValue> {
    let fields = headers.get_all(name).map(HeaderValue::as_bytes).filter(|field| !field.is_empty());
    let list: Vec<&[u8]> = fields.chain([last]).collect();
    HeaderValue::from_bytes(&list.join(&b", "[..])).ok()
}

/// What we say of the hop before us in `Forwarded` (RFC 7239 sections 4 and 6).
fn element(client: &Client, host: Option<&HeaderValue>) -> Vec<u8> {
    let mut element = b"for=".to_vec();
    if client.address.ip().to_canonical().is_ipv6() {
        element.extend([b"\"[", client.ip.as_bytes(), b"]\""].concat());
    } else {
        element.extend_from_slice(client.ip.as_bytes());
    }
    if let Some(host) = host.map(HeaderValue::as_bytes).filter(|host| !host.iter().any(|byte| b"\"\\".contains(byte))) {
        element.extend([b";host=\"", host, b"\""].concat());
    }
    element.extend_from_slice(b";proto=");
    element.extend_from_slice(client.scheme().as_bytes());
    element
}

/// The port that the client connected to: what the host that it asked for says, else that of the scheme, as in Traefik. Our
/// own may be another one behind the mapping of a container.
fn port(headers: &Fields) -> HeaderValue {
    let told = headers.get(X_FORWARDED_HOST).and_then(|host| port_of(host.as_bytes()));
    told.and_then(|digits| HeaderValue::from_bytes(digits).ok()).unwrap_or_else(|| {
        let secure =
            headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
        HeaderValue::from_static(if secure { "443" } else { "80" })
    })
}

fn port_of(host: &[u8]) -> Option<&[u8]> {
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    let (name, digits) = (&host[..colon], &host[colon + 1..]);
    let bare_ipv6 = name.contains(&b':') && !name.ends_with(b"]");
    let digits = (!bare_ipv6 && (1..=5).contains(&digits.len())).then_some(digits)?;
    digits.iter().all(u8::is_ascii_digit).then_some(digits)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn listener(forwarded: &str) -> Listener {
        let text = format!(
            "listeners: [{{ name: web, bind: 127.0.0.1:0, cluster: a, {forwarded} }}]
clusters: [{{ name: a, endpoints: [ 127.0.0.1:1 ] }}]"
        );
        crate::config::parse(&text, "test").expect("the configuration is valid").listeners.remove(0)
    }

    fn told_by(peer: &str, request: http::request::Builder, forwarded: &str) -> Fields {
        let mut head = RequestHead::from(request.body(()).expect("the request is valid"));
        let client = Client::new(peer.parse().expect("an address"), None);
        let listener = listener(forwarded);
        let source = client.source_of(listener.trusted.as_ref(), &head.headers);
        let received = head.version;
        forward(&mut head, &client, &source, &listener, received);
        head.headers
    }

    fn request() -> http::request::Builder {
        Request::get("/")
            .header("host", "a:8080")
            .header("x-forwarded-for", "203.0.113.1")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "www.a")
            .header("x-forwarded-port", "8443")
            .header("x-forwarded-prefix", "/evil")
            .header("x-real-ip", "203.0.113.1")
            .header("forwarded", "for=203.0.113.1;proto=https")
            .header("x-other", "1")
    }

    fn text(headers: &Fields) -> Vec<String> {
        let mut fields: Vec<String> = headers
            .iter()
            .filter(|(name, _)| is_forwarding(name))
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        fields.sort();
        fields
    }

    const REPLACED: [&str; 5] = [
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: a:8080",
        "x-forwarded-port: 8080",
        "x-forwarded-proto: http",
        "x-real-ip: 192.0.2.7",
    ];

    fn continued(hop: &str, node: &str) -> Vec<String> {
        vec![
            format!("forwarded: for=203.0.113.1;proto=https, for={node};host=\"a:8080\";proto=http"),
            format!("x-forwarded-for: 203.0.113.1, 10.0.0.1, {hop}"),
            "x-forwarded-host: www.a".into(),
            "x-forwarded-port: 8443".into(),
            "x-forwarded-prefix: /evil".into(),
            "x-forwarded-proto: https".into(),
            "x-real-ip: 203.0.113.1".into(),
        ]
    }

    #[test]
    fn what_an_untrusted_hop_says_is_replaced() {
        for setting in ["", "trusted: [10.0.0.0/8]", "trusted: []", "forwarded: append, trusted: [10.0.0.0/8]"] {
            assert_eq!(text(&told_by("192.0.2.7:4711", request(), setting)), REPLACED, "{setting}");
        }
    }

    #[test]
    fn what_a_trusted_hop_says_is_kept_and_the_hop_appended() {
        for setting in ["trusted: [192.0.2.0/24]", "forwarded: append, trusted: [192.0.2.7]", "forwarded: append"] {
            let told = told_by("192.0.2.7:4711", request(), setting);
            assert_eq!(text(&told), continued("192.0.2.7", "192.0.2.7"), "{setting}");
            assert_eq!(told["via"], "1.1 plimsoll");
        }
        let told = told_by("[2001:db8::7]:4711", request(), "trusted: ['2001:db8::/32']");
        assert_eq!(text(&told), continued("2001:db8::7", "\"[2001:db8::7]\""));
    }

    #[test]
    fn what_a_trusted_hop_does_not_say_is_said() {
        let told = told_by("192.0.2.7:4711", Request::get("/").header("host", "a:8080"), "trusted: [192.0.2.0/24]");
        assert_eq!(text(&told), REPLACED);
        let secure = Request::get("/").header("host", "a").header("x-forwarded-proto", "https");
        assert_eq!(told_by("192.0.2.7:4711", secure, "trusted: [192.0.2.0/24]")["x-forwarded-port"], "443");
    }

    #[test]
    fn replace_tells_the_client_that_is_believed_in() {
        assert_eq!(text(&told_by("192.0.2.7:4711", request(), "forwarded: replace")), REPLACED);
        let told = told_by("192.0.2.7:4711", request(), "forwarded: replace, trusted: [192.0.2.0/24, 10.0.0.0/8]");
        let expected = [
            "x-forwarded-for: 203.0.113.1",
            "x-forwarded-host: a:8080",
            "x-forwarded-port: 8080",
            "x-forwarded-proto: https",
            "x-real-ip: 203.0.113.1",
        ];
        assert_eq!(text(&told), expected);
    }

    #[test]
    fn nothing_of_a_client_is_left_where_we_know_nothing_better() {
        let old = Request::get("/").version(Version::HTTP_10).header("x-forwarded-host", "evil");
        let told = told_by("192.0.2.7:4711", old, "");
        assert!(!told.contains("x-forwarded-host"));
        assert_eq!(told["via"], "1.0 plimsoll");
    }

    #[test]
    fn off_leaves_all_as_it_came() {
        let request = request();
        let before = Fields::from(request.headers_ref().expect("a request").clone());
        assert_eq!(told_by("192.0.2.7:4711", request, "forwarded: 'off', trusted: [192.0.2.0/24]"), before);
    }

    #[test]
    fn ports_are_those_of_the_host() {
        for (host, port) in [
            ("a:81", Some("81")),
            ("[::1]:81", Some("81")),
            ("::1", None),
            ("[::1]", None),
            ("a", None),
            ("a:", None),
            ("a:x", None),
            ("a:123456", None),
        ] {
            assert_eq!(port_of(host.as_bytes()), port.map(str::as_bytes), "{host}");
        }
    }
}
