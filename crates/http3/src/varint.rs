//! Integers of QUIC (RFC 9000 section 16), and what kind of stream one says at its beginning.

/// The largest there is.
pub const MOST: u64 = (1 << 62) - 1;

/// Takes an integer. None, and nothing is taken, while it is not whole.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let (whole, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(whole[1..].iter().fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte)))
}

/// Appends an integer; what is larger than [`MOST`] is cut to it.
pub(crate) fn put(bytes: &mut impl bytes::BufMut, number: u64) {
    match number {
        0..=0x3f => bytes.put_u8(number as u8),
        0x40..=0x3fff => bytes.put_u16(number as u16 | 0x4000),
        0x4000..=0x3fff_ffff => bytes.put_u32(number as u32 | 0x8000_0000),
        _ => bytes.put_u64(number.min(MOST) | 0xc000_0000_0000_0000),
    }
}

/// What a stream in one direction is for (RFC 9114 section 6.2, RFC 9204 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    Control,
    Push,
    QpackEncoder,
    QpackDecoder,
    /// Of an extension, or one that tries whether others pass over it.
    Unknown,
}

/// Takes what kind of stream it is. None, and nothing is taken, while that is not whole.
pub fn take_stream_kind(bytes: &mut &[u8]) -> Option<StreamKind> {
    take(bytes).map(|kind| match kind {
        0 => StreamKind::Control,
        1 => StreamKind::Push,
        2 => StreamKind::QpackEncoder,
        3 => StreamKind::QpackDecoder,
        _ => StreamKind::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_come_out() {
        // Appendix A.1.
        for (coded, number) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            let mut rest = coded;
            assert_eq!(take(&mut rest), Some(number));
            assert!(rest.is_empty());
        }
    }

    proptest! {
        #[test]
        fn what_was_put_is_taken_and_never_in_part(number in 0..=MOST, shift in 0_u32..62) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            for cut in 0..bytes.len() {
                let mut part = &bytes[..cut];
                prop_assert_eq!(take(&mut part), None);
                prop_assert_eq!(part.len(), cut);
            }
            prop_assert_eq!(take(&mut &bytes[..]), Some(number));
        }
    }
}
