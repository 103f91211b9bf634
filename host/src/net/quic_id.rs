//! Ids of connections of QUIC, as this proxy makes them: they say which worker a connection is of, and which of that worker's endpoints.

use std::num::Wrapping;

/// As long as those of most servers: too many to be found by guessing.
pub const QUIC_ID_BYTES: usize = 8;

/// Writes into an id of random bytes of which endpoint it is.
pub fn name_endpoint(id: &mut [u8; QUIC_ID_BYTES], number: u8) {
    id[1] = number;
    id[2] = check(id);
}

/// The endpoint that a datagram is for, if that is one of a connection which has begun. One that may begin a connection (RFC 9000
/// section 17.2.2) is for whoever hears it: its id is the client's own, which could name any endpoint.
pub(super) fn named_endpoint(datagram: &[u8]) -> Option<u8> {
    // RFC 8999: behind the version and a length in long headers, behind the first byte in short ones.
    let at = match datagram {
        // A packet of a handshake (RFC 9000 section 17.2.4), which is the last that has such a header.
        [first, 0, 0, 0, 1, length, ..] if first & 0xb0 == 0xa0 && usize::from(*length) == QUIC_ID_BYTES => 6,
        [first, ..] if first & 0x80 == 0 => 1,
        _ => return None,
    };
    let id = datagram.get(at..)?.first_chunk()?;
    (id[2] == check(id)).then_some(id[1])
}

fn check(id: &[u8; QUIC_ID_BYTES]) -> u8 {
    let [first, number, _, rest @ ..] = id;
    rest.iter().fold(Wrapping(*first) + Wrapping(*number), |sum, byte| sum * Wrapping(31) + Wrapping(*byte)).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whose_an_id_is_can_be_read_from_what_is_of_a_connection(mut id: [u8; 8], number: u8, rest: [u8; 20], bits in 0..16_u8) {
            name_endpoint(&mut id, number);
            let short = [&[0x40 | bits][..], &id, &rest].concat();
            prop_assert_eq!(named_endpoint(&short), Some(number));
            for (kind, version, length, expected) in [
                (2, 1, 8, Some(number)),
                // What begins a connection, or says something about an attempt to.
                (0, 1, 8, None),
                (1, 1, 8, None),
                (3, 1, 8, None),
                (2, 2, 8, None),
                (2, 0, 8, None),
                (2, 1, 9, None),
            ] {
                let long = [&[0xc0 | kind << 4 | bits, 0, 0, 0, version, length][..], &id, &rest].concat();
                prop_assert_eq!(named_endpoint(&long), expected, "{} {} {}", kind, version, length);
            }
        }

        #[test]
        fn any_bytes_can_be_asked(bytes: Vec<u8>) {
            let _ = named_endpoint(&bytes);
        }
    }
}
