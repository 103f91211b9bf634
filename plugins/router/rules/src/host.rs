use std::borrow::Cow;

/// Longer names do not exist (RFC 1035), and looking for them would take time.
const LONGEST: usize = 253;

/// The name in an authority or a TLS handshake as it is compared: lower case, without port and final dot. None when it
/// cannot be the name of a host.
pub(crate) fn normalized(authority: &[u8]) -> Option<Cow<'_, [u8]>> {
    let host = without_port(authority);
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() || host.len() > LONGEST {
        return None;
    }
    if host.iter().any(u8::is_ascii_uppercase) {
        return Some(Cow::Owned(host.to_ascii_lowercase()));
    }
    Some(Cow::Borrowed(host))
}

/// A bracketed IPv6 address keeps its colons.
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    if authority.starts_with(b"[") {
        let end = authority.iter().position(|byte| *byte == b']').map_or(authority.len(), |at| at + 1);
        return &authority[..end];
    }
    authority.iter().position(|byte| *byte == b':').map_or(authority, |at| &authority[..at])
}

/// The ends of a name that a wildcard may stand for, the longest first: `.b.c`, then `.c` for `a.b.c`.
pub(crate) fn suffixes(host: &[u8]) -> impl Iterator<Item = &[u8]> {
    host.iter().enumerate().filter(|(at, byte)| **byte == b'.' && *at > 0).map(|(at, _)| &host[at..])
}

/// Whether the text can be a host in a configuration, and how it is looked up: its name, or what follows the `*`.
pub(crate) fn pattern(text: &str) -> Option<Pattern> {
    let (wildcard, name) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let bracketed = name.starts_with('[') && name.ends_with(']') && !wildcard;
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let labels = name.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    });
    if name.len() > LONGEST || !(labels || bracketed) {
        return None;
    }
    Some(if wildcard { Pattern::Under(format!(".{name}").into_bytes()) } else { Pattern::Exact(name.into_bytes()) })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(Vec<u8>),
    /// The end of a name, from its dot on.
    Under(Vec<u8>),
}
