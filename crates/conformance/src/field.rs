//! What can be sent in the head of a message.

/// Whether bytes can be the value of a header field (RFC 9110 section 5.5).
pub(crate) fn can_be_sent(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// Whether text can be the name of a header field or a method.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
