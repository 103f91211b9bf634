//! Whom hops say that they forward for: X-Forwarded-For, else `Forwarded` (RFC 7239). Every hop appends whom it heard
//! from, so that only the right end is by hops that we know. Both are read from there, element by element, as far as trust
//! goes; what stands before that may be anything, and is not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderName, HeaderValue};
use plimsoll_fields::Fields;

use crate::config::Networks;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Elements that are looked at; a longer chain of trusted hops is none that anybody has built.
const MOST_HOPS: usize = 64;
/// An IPv6 address in brackets with a port has up to 47 characters.
const LONGEST_NODE: usize = 64;

/// The first address from the right that is not trusted, or the leftmost, if all are (nginx's `real_ip_recursive`). What
/// is no address ends the walk at the hop that told it. `peer` is trusted.
pub(super) fn client(headers: &Fields, trusted: &Networks, peer: SocketAddr) -> SocketAddr {
    if headers.contains(X_FORWARDED_FOR) {
        let fields = headers.get_all(X_FORWARDED_FOR).rev();
        let nodes = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b',')).map(node);
        return walk(nodes, trusted, peer);
    }
    let fields = headers.get_all(FORWARDED).rev();
    let elements = fields.flat_map(|field| FromRight(Some(field.as_bytes())));
    walk(elements.map(|text| element(text)?.node.and_then(node)), trusted, peer)
}

fn walk(nodes: impl Iterator<Item = Option<SocketAddr>>, trusted: &Networks, peer: SocketAddr) -> SocketAddr {
    let mut client = peer;
    for node in nodes.take(MOST_HOPS) {
        let Some(node) = node else { break };
        client = node;
        if !trusted.contains(client.ip()) {
            break;
        }
    }
    client
}

/// The scheme that a trusted peer tells: X-Forwarded-Proto, if it is one word, else that of the last `Forwarded` element.
pub(super) fn scheme(headers: &Fields) -> Option<&'static str> {
    let mut told = headers.get_all(X_FORWARDED_PROTO);
    match (told.next(), told.next()) {
        (Some(scheme), None) => known_scheme(scheme.as_bytes()),
        (None, _) => {
            let last = headers.get_all(FORWARDED).next_back().map(HeaderValue::as_bytes);
            FromRight(last).next().and_then(element).and_then(|element| element.proto).and_then(known_scheme)
        }
        _ => None,
    }
}

fn known_scheme(name: &[u8]) -> Option<&'static str> {
    let name = name.trim_ascii();
    ["http", "https"].into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// An address, with or without a port: `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]:4711`. The port is 0
/// where there is none, or a name in its place (RFC 7239 section 6). None for `unknown` and other names, and for all else.
fn node(text: &[u8]) -> Option<SocketAddr> {
    let text = text.trim_ascii();
    if text.len() > LONGEST_NODE {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let (ip, rest): (IpAddr, &str) = match text.strip_prefix('[') {
        Some(text) => {
            let (ip, rest) = text.split_once(']')?;
            (ip.parse::<Ipv6Addr>().ok()?.into(), rest)
        }
        None if text.bytes().filter(|byte| *byte == b':').count() > 1 => (text.parse::<Ipv6Addr>().ok()?.into(), ""),
        None => {
            let (ip, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (ip.parse::<Ipv4Addr>().ok()?.into(), rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => 0,
        None => return None,
        Some(name) if name.starts_with('_') && name.bytes().all(is_token) => 0,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// The elements of a `Forwarded` field from the right. A comma inside quotes divides nothing; whether a quote is one is
/// told by the backslashes before it, so that nothing on the left can change how the right is read.
struct FromRight<'a>(Option<&'a [u8]>);

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let mut quoted = false;
        for (at, byte) in rest.iter().enumerate().rev() {
            match byte {
                b'"' if quoted => {
                    let escapes = rest[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                    quoted = escapes % 2 == 1;
                }
                b'"' => quoted = true,
                b',' if !quoted => {
                    self.0 = Some(&rest[..at]);
                    return Some(&rest[at + 1..]);
                }
                _ => {}
            }
        }
        self.0 = None;
        Some(rest)
    }
}

/// What one hop says in `Forwarded`, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element<'a> {
    node: Option<&'a [u8]>,
    proto: Option<&'a [u8]>,
}

/// Reads `name=value` pairs between semicolons (RFC 7239 section 4). None if there is anything else, or a name twice.
fn element(text: &[u8]) -> Option<Element<'_>> {
    let mut element = Element::default();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b";") {
            rest = after.trim_ascii_start();
            continue;
        }
        let (name, after) = token(rest)?;
        let (value, after) = match after.strip_prefix(b"=")? {
            [b'"', after @ ..] => quoted(after)?,
            after => token(after)?,
        };
        let known = if name.eq_ignore_ascii_case(b"for") {
            Some(&mut element.node)
        } else if name.eq_ignore_ascii_case(b"proto") {
            Some(&mut element.proto)
        } else {
            None
        };
        if known.is_some_and(|known| known.replace(value).is_some()) {
            return None;
        }
        rest = after.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b";") {
            return None;
        }
    }
    Some(element)
}

/// A token (RFC 9110 section 5.6.2) and what follows it.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text.iter().take_while(|byte| is_token(**byte)).count();
    (length > 0).then(|| text.split_at(length))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What stands before the closing quote, and what follows it. An escape has no place in any value that is of use here.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    (text[end] == b'"').then(|| (&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Network;

    const PEER: &str = "10.0.0.9:4711";

    fn trusted() -> Networks {
        ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse::<Network>().expect("a network")).collect()
    }

    fn headers(name: &HeaderName, fields: &[&[u8]]) -> Fields {
        fields.iter().map(|field| (name.clone(), HeaderValue::from_bytes(field).expect("a value"))).collect()
    }

    fn found(name: &HeaderName, fields: &[&[u8]]) -> String {
        client(&headers(name, fields), &trusted(), PEER.parse().expect("an address")).to_string()
    }

    fn found_in(text: &str) -> String {
        found(&X_FORWARDED_FOR, &[text.as_bytes()])
    }

    fn found_in_forwarded(text: &str) -> String {
        found(&FORWARDED, &[text.as_bytes()])
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        assert_eq!(found_in("192.0.2.1"), "192.0.2.1:0");
        assert_eq!(found_in("6.6.6.6, 192.0.2.1"), "192.0.2.1:0");
        assert_eq!(found_in("6.6.6.6, 192.0.2.1:5000 ,10.1.1.1,fd00::1"), "192.0.2.1:5000");
        assert_eq!(found_in("[2001:db8::1]:80, 10.0.0.1"), "[2001:db8::1]:80");
        assert_eq!(found_in("2001:db8::1"), "[2001:db8::1]:0");
        assert_eq!(found_in("::ffff:192.0.2.1"), "192.0.2.1:0", "IPv4 in IPv6's clothes");
        assert_eq!(found(&X_FORWARDED_FOR, &[b"6.6.6.6", b"192.0.2.1, 10.0.0.1"]), "192.0.2.1:0", "lines are one list");
    }

    #[test]
    fn where_all_are_trusted_the_leftmost_is_the_client() {
        assert_eq!(found_in("10.0.0.1, 10.0.0.2"), "10.0.0.1:0");
        assert_eq!(found(&X_FORWARDED_FOR, &[]), PEER);
    }

    #[test]
    fn what_is_no_address_ends_the_walk_at_the_hop_that_told_it() {
        for hostile in [
            "6.6.6.6, unknown, 10.0.0.1",
            "6.6.6.6,, 10.0.0.1",
            "6.6.6.6, 1.2.3, 10.0.0.1",
            "6.6.6.6, 1.2.3.4:99999, 10.0.0.1",
            "6.6.6.6, 1.2.3.4:+80, 10.0.0.1",
            "6.6.6.6, [1.2.3.4], 10.0.0.1",
            "6.6.6.6, [::1, 10.0.0.1",
            "6.6.6.6, fe80::1%eth0, 10.0.0.1",
            "6.6.6.6, \"2001:db8::1\", 10.0.0.1",
            "6.6.6.6, 1.2.3.4 5.6.7.8, 10.0.0.1",
        ] {
            assert_eq!(found_in(hostile), "10.0.0.1:0", "{hostile}");
        }
        assert_eq!(found(&X_FORWARDED_FOR, &[b"6.6.6.6, \xff, 10.0.0.1"]), "10.0.0.1:0");
        assert_eq!(found_in(""), PEER);
        assert_eq!(found_in(&format!("6.6.6.6, {}1.2.3.4", "0".repeat(100))), PEER);
    }

    #[test]
    fn a_chain_is_followed_so_far_and_no_farther() {
        assert_eq!(found_in(&format!("192.0.2.1{}", ", 10.0.0.1".repeat(MOST_HOPS - 1))), "192.0.2.1:0");
        assert_eq!(found_in(&format!("192.0.2.1{}", ", 10.0.0.1".repeat(MOST_HOPS))), "10.0.0.1:0");
    }

    #[test]
    fn rfc7239_forwarded_is_read_where_there_is_no_other() {
        assert_eq!(found_in_forwarded("for=192.0.2.1"), "192.0.2.1:0");
        assert_eq!(found_in_forwarded(";; for=192.0.2.1 ;"), "192.0.2.1:0");
        assert_eq!(
            found_in_forwarded("for=6.6.6.6, For=\"192.0.2.1:80\";Proto=http; by=_x,for=10.0.0.1"),
            "192.0.2.1:80"
        );
        assert_eq!(found_in_forwarded("by=\"a,b\";for=\"[2001:db8:cafe::17]:_port\""), "[2001:db8:cafe::17]:0");
        let both = [(X_FORWARDED_FOR, "192.0.2.1"), (FORWARDED, "for=192.0.2.2")];
        let both = both.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
        assert_eq!(client(&both, &trusted(), PEER.parse().expect("an address")).to_string(), "192.0.2.1:0");
    }

    /// A client may write anything on the left of what a trusted hop appends; it must not change how that is read.
    #[test]
    fn an_open_quote_of_a_client_does_not_hide_what_a_hop_appends() {
        for hostile in ["for=\"", "for=\"6.6.6.6\\", "\"", "for=\\\"", "x=\"a\\\\\\", ",,,", "for=6.6.6.6;for=\""] {
            assert_eq!(found_in_forwarded(&format!("{hostile}, for=192.0.2.1")), "192.0.2.1:0", "{hostile}");
            assert_eq!(found_in_forwarded(&format!("{hostile}, for=10.0.0.1")), "10.0.0.1:0", "{hostile}");
        }
    }

    #[test]
    fn malformed_elements_end_the_walk() {
        for hostile in [
            "for=unknown",
            "for=_hidden",
            "for=",
            "for",
            "",
            "by=192.0.2.1",
            "for=192.0.2.1;for=192.0.2.1",
            "for =192.0.2.1",
            "for=192.0.2.1 x",
            "for=[2001:db8::1]",
            "for=\"2001:db8::1\\\"\"",
            "for=\"192.0.2.1\"x",
        ] {
            assert_eq!(found_in_forwarded(&format!("for=6.6.6.6, {hostile}, for=10.0.0.1")), "10.0.0.1:0", "{hostile}");
        }
    }

    #[test]
    fn a_scheme_is_one_of_two_words() {
        let scheme_of = |name: HeaderName, fields: &[&[u8]]| scheme(&headers(&name, fields));
        assert_eq!(scheme_of(X_FORWARDED_PROTO, &[b"HTTPS"]), Some("https"));
        assert_eq!(scheme_of(X_FORWARDED_PROTO, &[b"http"]), Some("http"));
        for other in [&[&b"https, http"[..]][..], &[b"https", b"http"], &[b"javascript"], &[b""], &[]] {
            assert_eq!(scheme_of(X_FORWARDED_PROTO, other), None);
        }
        assert_eq!(scheme_of(FORWARDED, &[b"for=1.2.3.4;proto=http", b"for=10.0.0.1;proto=\"https\""]), Some("https"));
        assert_eq!(scheme_of(FORWARDED, &[b"proto=https, for=10.0.0.1"]), None, "the last hop says nothing of it");
    }

    fn hostile_text() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&[u8]; 12] = [
            b"for=",
            b"10.0.0.1",
            b"192.0.2.1",
            b"\"",
            b"\\",
            b",",
            b";",
            b":",
            b"[::1]",
            b" ",
            b"\xff",
            b"proto=https",
        ];
        let piece = prop::sample::select(pieces.to_vec());
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let fields: Vec<&[u8]> = text.split(|byte| byte.is_ascii_control() || *byte == 0x7f).collect();
            found(&X_FORWARDED_FOR, &fields);
            found(&FORWARDED, &fields);
        }

        /// Whatever a client sends, what the trusted hop appended decides.
        #[test]
        fn the_left_never_counts_against_the_right(left in hostile_text()) {
            for (name, right) in [(&X_FORWARDED_FOR, &b", 192.0.2.7"[..]), (&FORWARDED, b", for=192.0.2.7;proto=http")] {
                prop_assert_eq!(found(name, &[&left, &right[2..]]), "192.0.2.7:0");
                prop_assert_eq!(found(name, &[&[&left[..], right].concat()]), "192.0.2.7:0");
            }
        }

        #[test]
        fn addresses_are_read_back(ip: std::net::IpAddr, port: u16) {
            let address = SocketAddr::new(ip.to_canonical(), port);
            prop_assert_eq!(node(address.to_string().as_bytes()), Some(address));
            prop_assert_eq!(node(ip.to_string().as_bytes()), Some(SocketAddr::new(ip.to_canonical(), 0)));
        }
    }
}
