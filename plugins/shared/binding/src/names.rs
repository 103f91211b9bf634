//! Checks of the names that operators write.

use plimsoll_sdk::ConfigErrors;

/// The name of a cookie: a token (RFC 6265 section 4.1.1).
pub fn check_cookie(path: &str, name: &str, errors: &mut ConfigErrors) {
    if !is_token(name) {
        errors.push(path, format_args!("expected letters, digits and `-_.`, not `{name}`"));
    }
}

/// The name of a header, in lower case: a token (RFC 9110 section 5.1).
pub fn check_header(path: &str, name: &str, errors: &mut ConfigErrors) {
    if !is_token(name) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        errors.push(path, format_args!("expected the name of a header in lower case, not `{name}`"));
    }
}

/// Attributes of a cookie as they stand in `Set-Cookie`, such as `Path=/; HttpOnly`.
pub fn check_attributes(path: &str, attributes: Option<&str>, errors: &mut ConfigErrors) {
    if attributes.is_some_and(|attributes| attributes.bytes().any(|byte| !(b' '..0x7f).contains(&byte))) {
        errors.push(path, "expected attributes of a cookie such as `Path=/; HttpOnly`");
    }
}

fn is_token(name: &str) -> bool {
    let is_mark = |byte| matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}
