//! The Huffman code of HPACK (RFC 7541 appendix B). It is canonical: the lengths of its codes say what the codes are.

/// How many bits the code of each byte has.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26,
];

const SHORTEST: usize = 5;
const LONGEST: usize = 30;
const EMPTY: Length = Length { end: 0, first_code: 0, first_symbol: 0 };
const CODE: Code = Code::new();

struct Code {
    /// By their number of bits.
    lengths: [Length; LONGEST + 1],
    /// In the order of their codes.
    symbols: [u8; 256],
}

/// All codes of one length.
#[derive(Clone, Copy)]
struct Length {
    /// Where the next longer codes begin, with 32 bits behind the point.
    end: u64,
    first_code: u32,
    first_symbol: u16,
}

impl Code {
    const fn new() -> Self {
        let (mut lengths, mut symbols) = ([EMPTY; LONGEST + 1], [0; 256]);
        let (mut code, mut count, mut length) = (0_u32, 0, SHORTEST);
        while length <= LONGEST {
            lengths[length].first_code = code;
            lengths[length].first_symbol = count as u16;
            let mut symbol = 0;
            while symbol < 256 {
                if LENGTHS[symbol] as usize == length {
                    symbols[count] = symbol as u8;
                    count += 1;
                    code += 1;
                }
                symbol += 1;
            }
            lengths[length].end = (code as u64) << (32 - length);
            code <<= 1;
            length += 1;
        }
        Self { lengths, symbols }
    }
}

static DECODER: Code = CODE;

/// Appends what `coded` means. None where it means nothing: the code of the end within it, or a padding that is none
/// (section 5.2).
pub fn decode(coded: &[u8], decoded: &mut Vec<u8>) -> Option<()> {
    // The bits that are left stand at the upper end.
    let (mut bits, mut left) = (0_u64, 0_usize);
    let mut coded = coded.iter();
    loop {
        while left <= 56
            && let Some(byte) = coded.next()
        {
            bits |= u64::from(*byte) << (56 - left);
            left += 8;
        }
        let window = bits >> 32;
        let Some(length) = (SHORTEST..=LONGEST).find(|length| window < DECODER.lengths[*length].end) else {
            return is_padding(bits, left).then_some(());
        };
        if length > left {
            return is_padding(bits, left).then_some(());
        }
        let found = DECODER.lengths[length];
        let code = (window >> (32 - length)) as u32;
        decoded.push(DECODER.symbols[usize::from(found.first_symbol) + (code - found.first_code) as usize]);
        bits <<= length;
        left -= length;
    }
}

/// Less than a byte, and all of it ones.
fn is_padding(bits: u64, left: usize) -> bool {
    left < 8 && (left == 0 || bits >> (64 - left) == (1 << left) - 1)
}

#[cfg(test)]
pub fn encode(plain: &[u8]) -> Vec<u8> {
    let (mut coded, mut bits, mut held) = (Vec::new(), 0_u64, 0_usize);
    let mut push = |code: u64, length: usize, coded: &mut Vec<u8>| {
        bits = bits << length | code;
        held += length;
        while held >= 8 {
            held -= 8;
            coded.push((bits >> held) as u8);
        }
        held
    };
    let mut rest = 0;
    for byte in plain {
        let length = usize::from(LENGTHS[usize::from(*byte)]);
        let of_length = DECODER.lengths[length];
        let within = DECODER.symbols[usize::from(of_length.first_symbol)..].iter().position(|symbol| symbol == byte);
        let code = u64::from(of_length.first_code) + within.expect("every byte has a code") as u64;
        rest = push(code, length, &mut coded);
    }
    if rest > 0 {
        push((1 << (8 - rest)) - 1, 8 - rest, &mut coded);
    }
    coded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(coded: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        decode(coded, &mut plain).map(|()| plain)
    }

    #[test]
    fn the_examples_of_rfc_7541_come_out() {
        // Appendix C.4 and C.6.
        assert_eq!(
            decoded(&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]),
            Some(b"www.example.com".to_vec())
        );
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]), Some(b"no-cache".to_vec()));
        assert_eq!(decoded(&[0x64, 0x02]), Some(b"302".to_vec()));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None, "the end");
        assert_eq!(decoded(&[0x64, 0x02, 0xff]), None, "a whole byte of padding");
        assert_eq!(decoded(&[0x64]), None, "padding of zeroes");
        assert_eq!(decoded(&[]), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn what_was_coded_is_read(plain: Vec<u8>) {
            prop_assert_eq!(decoded(&encode(&plain)), Some(plain));
        }
    }
}
