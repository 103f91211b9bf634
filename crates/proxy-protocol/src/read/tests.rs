use proptest::prelude::*;

use super::*;
use crate::{Tlvs, write};

const ALL: Tlvs = Tlvs { application_protocol: true, authority: true, unique_id: true, ssl: true, crc32c: true };

fn header(bytes: &[u8]) -> Header {
    match read(bytes) {
        Found::Header { header, length, .. } if length == bytes.len() => header,
        other => panic!("{other:?}"),
    }
}

/// Version 2 with this command, family and what follows.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a length");
    [&SIGNATURE[..], &[command, family], &length.to_be_bytes(), rest].concat()
}

fn both(source: &str, destination: &str) -> Addresses {
    Addresses::new(source.parse().expect("an address"), destination.parse().expect("an address"))
}

#[test]
fn lines_of_version_1_are_understood() {
    let told = header(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n").addresses;
    assert_eq!(told, Some(both("192.0.2.7:4711", "198.51.100.1:443")));
    let told = header(b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 0\r\n").addresses;
    assert_eq!(told, Some(both("[2001:db8::7]:65535", "[2001:db8::1]:0")));
    for line in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n", b"PROXY UNKNOWN whatever\r\n"] {
        assert_eq!(header(line).addresses, None);
    }
}

#[test]
fn lines_that_are_not_as_they_should_be_are_refused() {
    for line in [
        "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 1\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 4711 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 04711 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n",
        "PROXY TCP4 192.0.2.07 198.51.100.1 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 1 443\r\n",
        "PROXY TCP5 192.0.2.7 198.51.100.1 1 443\r\n",
        "PROXY tcp4 192.0.2.7 198.51.100.1 1 443\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
    ] {
        assert!(matches!(read(line.as_bytes()), Found::Malformed(_)), "{line}");
    }
    assert!(matches!(read(format!("PROXY UNKNOWN {}", "x".repeat(200)).as_bytes()), Found::Malformed(_)));
    assert!(matches!(read(b"PROXY UNKNOWN \xff\r\n"), Found::Malformed(_)));
}

#[test]
fn what_is_something_else_is_told_at_once() {
    for other in [&b"GET / HTTP/1.1\r\n"[..], b"POST", b"PROXX", b"\r\n\r\n\r\n", &[22, 3, 1], b"PRI * HTTP/2.0\r\n"] {
        assert_eq!(read(other), Found::Other, "{other:?}");
    }
    for beginning in [&b""[..], b"P", b"PROXY", b"\r\n\r\n\0\r\nQUI"] {
        assert_eq!(read(beginning), Found::More, "{beginning:?}");
    }
}

#[test]
fn who_speaks_for_itself_has_no_addresses() {
    let addresses = [1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2];
    // LOCAL: whatever stands there is passed over, even what is no list.
    for (family, rest) in [(0, &[][..]), (0x11, &addresses), (0xff, &[1, 2, 3])] {
        assert_eq!(header(&binary(0x20, family, rest)), Header::default());
    }
    // UNSPEC, and AF_UNIX.
    assert_eq!(header(&binary(0x21, 0, &[9; 20])), Header::default());
    let unix = [vec![b'/'; 216], vec![tlv::AUTHORITY, 0, 1, b'a']].concat();
    let told = header(&binary(0x21, 0x31, &unix));
    assert_eq!((told.addresses, told.details.authority.as_deref()), (None, Some("a")));
}

#[test]
fn binary_headers_that_are_not_as_they_should_be_are_refused() {
    let addresses = [1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2];
    let with = |list: &[u8]| binary(0x21, 0x11, &[&addresses[..], list].concat());
    let long = [vec![tlv::UNIQUE_ID, 0, 129], vec![0; 129]].concat();
    for wrong in [
        binary(0x11, 0x11, &addresses),
        binary(0x22, 0x11, &addresses),
        binary(0x21, 0x41, &addresses),
        binary(0x21, 0x13, &addresses),
        binary(0x21, 0x11, &addresses[..11]),
        binary(0x21, 0x21, &[0; 35]),
        binary(0x21, 0x31, &[0; 215]),
        with(&[tlv::ALPN]),
        with(&[tlv::ALPN, 0, 2, b'h']),
        with(&[tlv::ALPN, 0, 0, tlv::ALPN, 0, 0]),
        with(&[tlv::AUTHORITY, 0, 1, 0xff]),
        with(&[tlv::CRC32C, 0, 3, 0, 0, 0]),
        with(&[tlv::CRC32C, 0, 4, 0, 0, 0, 0]),
        with(&[tlv::SSL, 0, 4, 1, 0, 0, 0]),
        with(&[tlv::SSL, 0, 7, 1, 0, 0, 0, 0, 0x21, 0]),
        with(&long),
        binary(0x21, 0x11, &[0; MOST_BYTES]),
    ] {
        assert!(matches!(read(&wrong), Found::Malformed(_)), "{wrong:?}");
    }
}

#[test]
fn what_others_have_invented_is_passed_over() {
    let list = [1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2, 4, 0, 2, 9, 9, 0xea, 0, 1, 7, tlv::AUTHORITY, 0, 1, b'a'];
    assert_eq!(header(&binary(0x21, 0x11, &list)).details.authority.as_deref(), Some("a"));
}

#[test]
fn a_bent_header_does_not_have_its_checksum() {
    let written = write(Version::V2, Some(both("192.0.2.7:1", "192.0.2.8:2")), &Details::default(), ALL);
    assert!(matches!(read(&written), Found::Header { .. }));
    for at in 16..written.len() {
        let mut bent = written.clone();
        bent[at] ^= 1;
        let what = read(&bent);
        // The type of the checksum's own TLV may become that of one that is not known.
        assert!(matches!(what, Found::Malformed(_)) || at == written.len() - 7, "{at}: {what:?}");
    }
}

#[test]
fn families_that_differ_become_one() {
    let told = Addresses::new("192.0.2.7:1".parse().expect("one"), "[2001:db8::1]:2".parse().expect("one"));
    assert_eq!(told.source().to_string(), "[::ffff:192.0.2.7]:1");
    let mapped = Addresses::new("[::ffff:192.0.2.7]:1".parse().expect("one"), "192.0.2.8:2".parse().expect("one"));
    assert_eq!(mapped, both("192.0.2.7:1", "192.0.2.8:2"));
}

fn text(most: usize) -> impl Strategy<Value = Option<Box<str>>> {
    proptest::option::of(proptest::string::string_regex("[a-z0-9.-]{0,40}").expect("an expression"))
        .prop_map(move |text| text.filter(|text| text.len() <= most).map(Into::into))
}

fn some_details() -> impl Strategy<Value = Details> {
    let ssl = (any::<bool>(), any::<bool>(), text(99), text(99), text(99)).prop_map(
        |(encrypted, verified, version, cipher, common_name)| {
            Box::new(Ssl { encrypted, verified: encrypted && verified, version, cipher, common_name })
        },
    );
    let bytes = |most: usize| {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..most)).prop_map(|bytes| bytes.map(Into::into))
    };
    (bytes(99), text(99), bytes(tlv::MOST_UNIQUE_ID), proptest::option::of(ssl)).prop_map(
        |(application_protocol, authority, unique_id, ssl)| Details { application_protocol, authority, unique_id, ssl },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(source: SocketAddr, destination: SocketAddr, details in some_details(), local: bool) {
        // A scope is nothing that another machine could use.
        let addresses = (!local).then(|| Addresses::new(
            SocketAddr::new(source.ip(), source.port()),
            SocketAddr::new(destination.ip(), destination.port()),
        ));
        prop_assert_eq!(header(&write(Version::V1, addresses, &details, ALL)).addresses, addresses);
        let written = write(Version::V2, addresses, &details, ALL);
        let expected = Header { addresses, details: if local { Details::default() } else { details } };
        prop_assert_eq!(header(&written), expected);
        prop_assert!(written.len() <= MOST_BYTES);
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300), command in 0x20..0x22u8, family: u8) {
        crate::fuzzing::read_proxy_protocol(&bytes);
        crate::fuzzing::read_proxy_protocol(&[PREFIX, &bytes].concat());
        crate::fuzzing::read_proxy_protocol(&binary(command, family, &bytes));
        let list = [&[1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 0, 2][..], &bytes].concat();
        crate::fuzzing::read_proxy_protocol(&binary(0x21, 0x11, &list));
    }
}
