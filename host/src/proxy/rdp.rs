//! The first message of a Remote Desktop client (MS-RDPBCGR section 2.2.1.1): a TPKT header (RFC 1006), an X.224
//! connection request, and maybe a cookie that a balancer can go by, such as `Cookie: mstshash=alice`.

/// More than this is not looked at.
pub(super) const MAX_BYTES: usize = 1024;
/// TPKT header, and the fixed part of the connection request.
const HEADER: usize = 4 + 7;
const VERSION: u8 = 3;
const CONNECTION_REQUEST: u8 = 0xe0;

/// Whether these are the first bytes of a message of which there is more to come.
pub(super) fn wants_more(first: &[u8]) -> bool {
    match *first {
        [] => true,
        [VERSION] | [VERSION, _] | [VERSION, _, _] => true,
        [VERSION, _, high, low, ..] => first.len() < usize::from(u16::from_be_bytes([high, low])).min(MAX_BYTES),
        _ => false,
    }
}

/// Value of the cookie of a name.
pub(super) fn cookie<'a>(first: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (header, rest) = first.split_at_checked(HEADER)?;
    if header[0] != VERSION || header[5] & 0xf0 != CONNECTION_REQUEST {
        return None;
    }
    let end = usize::from(u16::from_be_bytes([header[2], header[3]])).checked_sub(HEADER)?;
    let rest = &rest[..end.min(rest.len())];
    let (label, rest) = rest.split_at_checked(b"Cookie:".len())?;
    if !label.eq_ignore_ascii_case(b"Cookie:") {
        return None;
    }
    let line = &rest[..rest.iter().position(|byte| *byte == b'\r')?];
    let line = line.trim_ascii_start();
    let (found, value) = line.split_at_checked(name.len())?;
    if !found.eq_ignore_ascii_case(name) {
        return None;
    }
    value.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(rest: &str) -> Vec<u8> {
        let length = (HEADER + rest.len()) as u16;
        let mut bytes = vec![3, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([(length - 5) as u8, 0xe0, 0, 0, 0, 0, 0]);
        bytes.extend(rest.as_bytes());
        bytes
    }

    #[test]
    fn the_cookie_is_found_by_its_name() {
        let bytes = request("Cookie: mstshash=alice\r\n\x01\x00\x08\x00\x03\x00\x00\x00");
        assert_eq!(cookie(&bytes, b"mstshash"), Some(&b"alice"[..]));
        assert_eq!(cookie(&bytes, b"msts"), None);
        assert_eq!(cookie(&request("cookie:MSTShash=\r\n"), b"mstshash"), Some(&b""[..]));
        assert_eq!(cookie(&request("\x01\x00\x08\x00\x03\x00\x00\x00"), b"mstshash"), None);
        assert_eq!(cookie(&request("Cookie: mstshash=alice"), b"mstshash"), None, "it has no end");
    }

    #[test]
    fn what_follows_the_message_does_not_count() {
        let mut bytes = request("");
        bytes.extend(b"Cookie: mstshash=alice\r\n");
        assert_eq!(cookie(&bytes, b"mstshash"), None);
    }

    #[test]
    fn a_message_is_waited_for_until_it_is_whole_or_something_else() {
        let bytes = request("Cookie: mstshash=alice\r\n");
        assert!((0..bytes.len()).all(|some| wants_more(&bytes[..some])));
        assert!(!wants_more(&bytes));
        assert!(!wants_more(b"SSH-2.0-OpenSSH_9"));
        let mut long = vec![3, 0, 0xff, 0xff];
        assert!(wants_more(&long));
        long.resize(MAX_BYTES, 0);
        assert!(!wants_more(&long), "no longer than the bound");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64), tail in ".{0,40}") {
            let mut bytes = bytes;
            cookie(&bytes, b"mstshash");
            wants_more(&bytes);
            bytes.splice(0..0, request(&tail));
            cookie(&bytes, b"mstshash");
        }
    }
}
