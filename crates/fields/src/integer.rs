//! Integers with a prefix (RFC 7541 section 5.1).

/// Takes an integer whose prefix is the lower `bits` of the first byte. None if it is not whole, or too large for anything
/// that a header block holds.
pub fn take(bytes: &mut &[u8], bits: u32) -> Option<usize> {
    let mask = (1_usize << bits) - 1;
    let (first, mut rest) = bytes.split_first()?;
    let mut number = usize::from(*first) & mask;
    if number == mask {
        let mut shift = 0;
        loop {
            let (next, behind) = rest.split_first()?;
            rest = behind;
            number += usize::from(next & 0x7f) << shift;
            shift += 7;
            if next & 0x80 == 0 {
                break;
            }
            if shift > 21 {
                return None;
            }
        }
    }
    *bytes = rest;
    Some(number)
}

/// Appends an integer whose first byte also holds `flags`, above its prefix.
pub fn put(bytes: &mut Vec<u8>, flags: u8, bits: u32, number: usize) {
    let mask = (1_usize << bits) - 1;
    if number < mask {
        bytes.push(flags | number as u8);
        return;
    }
    bytes.push(flags | mask as u8);
    let mut rest = number - mask;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_rfc_7541_come_out() {
        // Appendix C.1.
        assert_eq!(take(&mut &[0b1110_1010][..], 5), Some(10));
        assert_eq!(take(&mut &[0b1111_1111, 0b1001_1010, 0b0000_1010][..], 5), Some(1337));
        assert_eq!(take(&mut &[42][..], 8), Some(42));
    }

    #[test]
    fn what_is_not_whole_or_too_large_is_none() {
        assert_eq!(take(&mut &[][..], 5), None);
        assert_eq!(take(&mut &[0xff][..], 5), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..], 5), None);
    }

    proptest! {
        #[test]
        fn what_was_put_is_taken(number in 0_usize..1 << 24, bits in 1_u32..8) {
            let mut bytes = Vec::new();
            put(&mut bytes, 0, bits, number);
            prop_assert_eq!(take(&mut &bytes[..], bits), Some(number));
        }
    }
}
