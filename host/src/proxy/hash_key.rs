use std::net::IpAddr;

use plimsoll_fields::RequestHead;
use xxhash_rust::xxh64::xxh64;

use super::attributes::Visible;
use super::first_bytes::Interest;
use super::rdp;
use crate::config::{self, HashKey};
use crate::plugin::{Attribute, AttributeValues, body_prefix};

/// What the key of a cluster's hashing balancer is made of.
#[derive(Debug)]
pub(super) struct HashOn(Vec<Item>);

#[derive(Debug)]
enum Item {
    Attribute(Attribute),
    Network(config::NetworkPrefixes),
    Path(config::PathPart),
    RdpCookie(String),
}

impl HashOn {
    pub(super) fn new(keys: &[HashKey]) -> Self {
        let item = |key: &HashKey| match key {
            HashKey::Header(name) => Item::Attribute(name.parse().map_or(Attribute::Never, Attribute::Header)),
            HashKey::Cookie(name) => Item::Attribute(Attribute::Cookie(name.clone())),
            HashKey::QueryParameter(name) => Item::Attribute(Attribute::QueryParameter(name.clone())),
            HashKey::Claim { header, name } => Item::Attribute(match header.parse() {
                Ok(header) => Attribute::Claim { header, name: name.clone() },
                Err(_) => Attribute::Never,
            }),
            HashKey::BodyPrefix(bytes) => Item::Attribute(Attribute::BodyPrefix(*bytes)),
            HashKey::SourceAddress => Item::Attribute(Attribute::SourceAddress),
            HashKey::Path => Item::Attribute(Attribute::Path),
            HashKey::Query => Item::Attribute(Attribute::Query),
            HashKey::Authority => Item::Attribute(Attribute::Authority),
            HashKey::ServerName => Item::Attribute(Attribute::ServerName),
            HashKey::SourceNetwork(prefixes) => Item::Network(*prefixes),
            HashKey::PathPart(part) => Item::Path(*part),
            HashKey::RdpCookie(name) => Item::RdpCookie(name.clone()),
        };
        Self(keys.iter().map(item).collect())
    }

    /// How much of a body it depends on.
    pub(super) fn body_prefix(&self) -> usize {
        let bytes = |item: &Item| match item {
            Item::Attribute(attribute) => body_prefix(std::slice::from_ref(attribute)),
            _ => 0,
        };
        self.0.iter().map(bytes).max().unwrap_or(0)
    }

    /// What it depends on of the beginning of a TCP connection.
    pub(super) fn interest(&self) -> Interest {
        Interest {
            tls: self.0.iter().any(|item| matches!(item, Item::Attribute(Attribute::ServerName))),
            rdp: self.0.iter().any(|item| matches!(item, Item::RdpCookie(_))),
        }
    }

    /// Hash of the first thing that there is and that is not empty.
    pub(super) fn key(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Option<u64> {
        self.0.iter().find_map(|item| item.key(visible, values))
    }

    /// Hashes of all that there is.
    pub(super) fn keys(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Vec<Option<u64>> {
        self.0.iter().map(|item| item.key(visible, values)).collect()
    }
}

impl Item {
    fn key(&self, visible: Visible<'_>, values: &mut AttributeValues) -> Option<u64> {
        match self {
            Self::Attribute(attribute) => {
                visible.fill(std::slice::from_ref(attribute), values);
                values.iter().next().flatten().and_then(key_of)
            }
            Self::Network(prefixes) => Some(network_key(visible.source.address.ip(), prefixes)),
            Self::Path(part) => visible.head.map(|head| path_part(head, part)).and_then(key_of),
            Self::RdpCookie(name) => rdp::cookie(visible.first_bytes, name.as_bytes()).and_then(key_of),
        }
    }
}

fn key_of(value: &[u8]) -> Option<u64> {
    (!value.is_empty()).then(|| xxh64(value, 0))
}

/// Hash of an address without the bits that tell hosts of one network apart.
fn network_key(address: IpAddr, prefixes: &config::NetworkPrefixes) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefixes.ipv4)).unwrap_or(0);
            xxh64(&(address.to_bits() & mask).to_be_bytes(), 0)
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefixes.ipv6)).unwrap_or(0);
            xxh64(&(address.to_bits() & mask).to_be_bytes(), 0)
        }
    }
}

/// The beginning of a path, as HAProxy's `balance uri` cuts it: up to the slash that ends the last segment that counts,
/// and not longer than so many bytes.
fn path_part<'a>(head: &'a RequestHead, part: &config::PathPart) -> &'a [u8] {
    let path = if part.query { head.uri.path_and_query().map_or("/", |all| all.as_str()) } else { head.uri.path() };
    let path = path.as_bytes();
    let end_of_path = head.uri.path().len().min(path.len());
    let mut slashes = path[..end_of_path].iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let by_depth = part.depth.and_then(|depth| slashes.nth(depth)).unwrap_or(path.len());
    &path[..by_depth.min(part.length.unwrap_or(path.len()))]
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::super::client::Client;
    use super::*;

    fn key(source: &str, path: &str, keys: &[HashKey]) -> Option<u64> {
        let head = RequestHead::from(Request::get(path).body(()).expect("the request is valid"));
        let client = Client::new((source.parse::<IpAddr>().expect("an address"), 4711).into(), None);
        let visible = Visible::of_request("web", &client, &client.source, &head, None);
        HashOn::new(keys).key(visible, &mut AttributeValues::default())
    }

    #[test]
    fn neighbours_of_one_network_have_one_key() {
        let keys = |ipv4, ipv6| [HashKey::SourceNetwork(config::NetworkPrefixes { ipv4, ipv6 })];
        let same = |a, b, keys: &[HashKey]| key(a, "/", keys) == key(b, "/", keys);
        assert!(same("192.0.2.7", "192.0.2.200", &keys(24, 64)));
        assert!(!same("192.0.2.7", "192.0.3.7", &keys(24, 64)));
        assert!(same("192.0.2.7", "::ffff:192.0.2.9", &keys(24, 64)), "an address in IPv6's clothes");
        assert!(same("2001:db8::1", "2001:db8::2:0:0:9", &keys(24, 64)));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1", &keys(24, 64)));
        assert!(!same("192.0.2.7", "192.0.2.8", &keys(32, 128)) && !same("::1", "::2", &keys(32, 128)));
        assert!(same("192.0.2.7", "10.0.0.1", &keys(0, 0)) && same("::1", "2001:db8::1", &keys(0, 0)));
    }

    #[test]
    fn a_path_counts_up_to_its_depth_and_length() {
        let cut = |path: &str, depth, length, query| {
            let head = RequestHead::from(Request::get(path).body(()).expect("the request is valid"));
            String::from_utf8_lossy(path_part(&head, &config::PathPart { depth, length, query })).into_owned()
        };
        assert_eq!(cut("/a/b/c?x=/y", Some(1), None, false), "/a");
        assert_eq!(cut("/a/b/c?x=/y", Some(2), None, false), "/a/b");
        assert_eq!(cut("/a/b/c?x=/y", Some(9), None, false), "/a/b/c");
        assert_eq!(cut("/a/b/c?x=/y", Some(9), None, true), "/a/b/c?x=/y");
        assert_eq!(cut("/a/b/c?x=/y", None, Some(4), false), "/a/b");
        assert_eq!(cut("/a/b/c?x=/y", Some(2), Some(3), true), "/a/");
        assert_eq!(cut("/", Some(1), Some(64), true), "/");
        assert_eq!(cut("http://host", Some(1), None, false), "/");
    }

    #[test]
    fn the_first_thing_that_there_is_counts() {
        let header = HashKey::Header("x-user".into());
        let path = HashKey::PathPart(config::PathPart { depth: Some(1), length: None, query: false });
        let rdp = HashKey::RdpCookie("mstshash".into());
        assert_eq!(key("::1", "/a/b", &[rdp.clone(), header.clone(), path]), Some(xxh64(b"/a", 0)));
        assert_eq!(key("::1", "/a/b", &[rdp, header]), None);
    }
}
