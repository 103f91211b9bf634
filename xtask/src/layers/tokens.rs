//! As much of Rust's words as it takes to find paths: comments, texts and characters are left out.

/// A word or a sign of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Counted from 1.
    pub(super) line: usize,
}

/// Identifiers, `::`, and every other sign by itself.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest[0] {
            b'\n' | b' ' | b'\r' | b'\t' => 1,
            b'/' if rest.starts_with(b"//") => rest.iter().take_while(|byte| **byte != b'\n').count(),
            b'/' if rest.starts_with(b"/*") => block_comment(rest),
            b'"' => text(rest, 0),
            b'\'' => character(rest),
            byte if is_word(byte) => {
                let length = rest.iter().take_while(|byte| is_word(**byte)).count();
                match prefixed_text(rest, length) {
                    Some(length) => length,
                    None => {
                        tokens.push(Token { text: &source[at..at + length], line });
                        length
                    }
                }
            }
            b':' if rest.starts_with(b"::") => {
                tokens.push(Token { text: "::", line });
                2
            }
            byte => {
                let length = if byte.is_ascii() {
                    1
                } else {
                    rest.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count() + 1
                };
                tokens.push(Token { text: &source[at..at + length], line });
                length
            }
        };
        line += rest[..length].iter().filter(|byte| **byte == b'\n').count();
        at += length;
    }
    tokens
}

/// Without the items that only tests have.
pub(super) fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let cfg_test = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_test = tokens[at..].iter().map(|token| token.text).take(cfg_test.len()).eq(cfg_test);
        if is_test {
            at = end_of_item(tokens, at + cfg_test.len());
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Behind the semicolon or the braces that end an item.
fn end_of_item(tokens: &[Token<'_>], begin: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(begin) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" if depth <= 1 => return at + 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// They nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of a text whose opening quote is at `quote`.
fn text(rest: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a text that begins with a word, such as `b"…"` and `r#"…"#`.
fn prefixed_text(rest: &[u8], word: usize) -> Option<usize> {
    match &rest[..word] {
        b"b" | b"c" if rest.get(word) == Some(&b'"') => Some(text(rest, word)),
        b"b" if rest.get(word) == Some(&b'\'') => Some(word + character(&rest[word..])),
        b"r" | b"br" | b"cr" => {
            let hashes = rest[word..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(word + hashes) != Some(&b'"') {
                return None;
            }
            let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
            let body = word + hashes + 1;
            let found = rest[body..].windows(end.len()).position(|window| window == end);
            Some(found.map_or(rest.len(), |found| body + found + end.len()))
        }
        _ => None,
    }
}

/// Length of a character; of the quote alone, if it begins a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        // Behind the backslash and what it escapes, which may be a quote.
        return rest.iter().skip(3).position(|byte| *byte == b'\'').map_or(rest.len(), |end| end + 4);
    }
    let one = std::str::from_utf8(&rest[1..rest.len().min(5)]).map_or_else(|error| error.valid_up_to(), str::len);
    let first =
        std::str::from_utf8(&rest[1..1 + one]).ok().and_then(|text| text.chars().next()).map_or(0, char::len_utf8);
    if first > 0 && rest.get(1 + first) == Some(&b'\'') { first + 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_texts_are_left_out() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f \"g\\\" h\" i"), ["a", "f", "i"]);
        assert_eq!(words("r#\"a \" b\"# c b\"d\" br\"e\" 'x' '\\'' '\\u{1}' b'\\n' f"), ["c", "f"]);
        assert_eq!(words("&'a str"), ["&", "a", "str"]);
        assert_eq!(words("'é' x"), ["x"]);
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let lines: Vec<usize> = tokens("a\n/* \n */ b \"\n\" c").into_iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 3, 4]);
    }

    #[test]
    fn items_of_tests_are_left_out() {
        let source = "a #[cfg(test)] mod tests { b { c } } d #[cfg(test)] use x::{y}; e #[cfg(test)] mod t; f";
        let kept: Vec<&str> = without_tests(&tokens(source)).into_iter().map(|token| token.text).collect();
        // The braces of a list end an item here, and its semicolon is left: nothing hangs on it.
        assert_eq!(kept, ["a", "d", ";", "e", "f"]);
    }
}
