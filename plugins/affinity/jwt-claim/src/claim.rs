//! Reads one claim of a JSON Web Token (RFC 7519) in its compact form. NOTHING IS VERIFIED: not the signature, not the
//! time, not even that all of it is JSON. It is only good for telling clients apart.

/// What is longer is no token: heads are bounded anyway, and this is read for every request.
const LONGEST: usize = 16 * 1024;

/// Text of the claim, as it is spelled: a string without its quotes, or a number.
pub(crate) fn claim(token: &[u8], name: &str) -> Option<Vec<u8>> {
    if token.len() > LONGEST {
        return None;
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    member(&decode(payload)?, name.as_bytes()).map(<[u8]>::to_vec)
}

/// Base64url without padding (RFC 7515 section 2).
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut group, mut bits) = (0u32, 0);
    for letter in text {
        let digit = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        group = group << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
        }
    }
    Some(bytes)
}

/// Value of the first member of that name in a JSON object, if it is a string or a number. Names are compared as they are
/// spelled. What is nested is stepped over by its brackets.
fn member<'a>(json: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = json.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    loop {
        let (key, after) = string(rest)?;
        let value = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        if key == name {
            return match value.first()? {
                b'"' => string(value).map(|(text, _)| text),
                b'-' | b'0'..=b'9' => Some(&value[..plain(value)]),
                _ => None,
            };
        }
        rest = skip(value)?.trim_ascii_start().strip_prefix(b",")?.trim_ascii_start();
    }
}

/// A string without its quotes, escapes as they are, and what follows.
fn string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = json.strip_prefix(b"\"")?;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// Length of a number or word.
fn plain(json: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    json.iter().position(|byte| !is_part(byte)).unwrap_or(json.len())
}

/// What follows a value.
fn skip(json: &[u8]) -> Option<&[u8]> {
    let (mut rest, mut depth) = (json, 0usize);
    loop {
        rest = match rest.first()? {
            b'"' => string(rest)?.1,
            b'{' | b'[' => {
                depth += 1;
                &rest[1..]
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                &rest[1..]
            }
            _ if depth > 0 => &rest[1..],
            _ => &rest[Some(plain(rest)).filter(|length| *length > 0)?..],
        };
        if depth == 0 {
            return Some(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(json: &str, name: &str) -> Option<String> {
        member(json.as_bytes(), name.as_bytes()).map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    #[test]
    fn a_claim_is_found_among_others() {
        let json =
            r#" { "aud" : ["a", {"sub":"no"}, "]"], "x":{"sub":"no"} , "e":"\"sub\":", "t":true,"sub": "bob" } "#;
        assert_eq!(found(json, "sub").as_deref(), Some("bob"));
        assert_eq!(found(r#"{"n":1,"sub":-12.5e3}"#, "sub").as_deref(), Some("-12.5e3"));
        assert_eq!(found(r#"{"sub":"first","sub":"second"}"#, "sub").as_deref(), Some("first"));
        assert_eq!(found(r#"{"https://a.test/tenant":"t"}"#, "https://a.test/tenant").as_deref(), Some("t"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for json in [
            "",
            "{",
            "{}",
            "[]",
            "null",
            r#"{"sub"}"#,
            r#"{"sub":"#,
            r#"{"sub":"a"#,
            r#"{"sub":null}"#,
            r#"{"sub":["a"]}"#,
            r#"{"a":]"#,
            r#"{"a":[[["#,
            r#"{"a":"b" "sub":"c"}"#,
            r#"{"a":,"sub":"c"}"#,
            r#"{"Sub":"a"}"#,
        ] {
            assert_eq!(found(json, "sub"), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_no_trap(json in "[{}\\[\\]:,\"\\\\ a1]{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            member(json.as_bytes(), b"a");
            claim(&bytes, "a");
        }
    }
}
