//! Values from strangers, made harmless: a line stays one line, JSON stays JSON, and a terminal shows what was sent.

/// Longest value that is logged; the rest is cut off and `...` put in its place.
pub(super) const MAX_VALUE_BYTES: usize = 8 << 10;
const CUT: &[u8] = b"...";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Printable ASCII that means itself in both formats. Everything else takes the slow way.
const fn is_plain(byte: u8) -> bool {
    // No short-circuits: over a run of bytes this becomes vector instructions.
    (byte >= 0x20) & (byte < 0x7f) & (byte != b'"') & (byte != b'\\')
}

/// Appends the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn push_json(out: &mut Vec<u8>, value: &[u8]) {
    let (value, cut) = bounded(value);
    let rest = push_plain(out, value);
    for chunk in rest.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                // Controls, those of C1 too, the separators that some readers take for line ends, and the marks that
                // turn the direction of text on a screen. All are below U+10000.
                '\0'..='\u{1f}'
                | '\u{7f}'..='\u{9f}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => {
                    let code = character as usize;
                    out.extend_from_slice(b"\\u");
                    out.extend([12, 8, 4, 0].map(|shift| HEX[code >> shift & 15]));
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if cut {
        out.extend_from_slice(CUT);
    }
}

/// Appends the inside of a quoted field as Apache writes it: `\"`, `\\`, `\n` and the like, and `\xhh` for each other
/// byte that is not printable ASCII.
pub(super) fn push_quoted(out: &mut Vec<u8>, value: &[u8]) {
    let (value, cut) = bounded(value);
    for &byte in push_plain(out, value) {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ if is_plain(byte) => out.push(byte),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'x', high, low]);
            }
        }
    }
    if cut {
        out.extend_from_slice(CUT);
    }
}

/// Copies as much as stands for itself, mostly all of it, and answers the rest.
fn push_plain<'v>(out: &mut Vec<u8>, value: &'v [u8]) -> &'v [u8] {
    let whole = value.chunks_exact(16).take_while(|chunk| chunk.iter().fold(true, |all, byte| all & is_plain(*byte)));
    let start = whole.count() * 16;
    let plain = value[start..].iter().position(|byte| !is_plain(*byte)).map_or(value.len(), |at| start + at);
    let (plain, rest) = value.split_at(plain);
    out.extend_from_slice(plain);
    rest
}

/// Cut to the longest that is logged, not within a character.
fn bounded(value: &[u8]) -> (&[u8], bool) {
    if value.len() <= MAX_VALUE_BYTES {
        return (value, false);
    }
    let is_start = |at: &usize| value[*at] & 0xc0 != 0x80;
    let end = (MAX_VALUE_BYTES - 3..=MAX_VALUE_BYTES).rev().find(is_start).unwrap_or(MAX_VALUE_BYTES);
    (&value[..end], true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &[u8]) -> String {
        let mut out = Vec::new();
        push_json(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn quoted(value: &[u8]) -> String {
        let mut out = Vec::new();
        push_quoted(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_values_lose_their_sting() {
        assert_eq!(json(b"a\"b\\c\nd\x1b[2J\xffe"), "a\\\"b\\\\c\\nd\\u001b[2J\u{fffd}e");
        assert_eq!(json("é\u{85}\u{2028}\u{202e}漢😀".as_bytes()), "é\\u0085\\u2028\\u202e漢😀");
        assert_eq!(quoted(b"a\"b\\c\nd\x1b[2J\xffe"), r#"a\"b\\c\nd\x1b[2J\xffe"#);
        assert_eq!(quoted("é".as_bytes()), r"\xc3\xa9");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let exact = vec![b'x'; MAX_VALUE_BYTES];
        assert_eq!(json(&exact).len(), MAX_VALUE_BYTES);
        let long = "x".to_owned() + &"漢".repeat(4000);
        let cut = json(long.as_bytes());
        assert!(cut.ends_with("漢...") && !cut.contains('\u{fffd}') && cut.len() <= MAX_VALUE_BYTES + 3);
        assert!(json(&[0x80; 9000]).ends_with("\u{fffd}..."));
    }
}
