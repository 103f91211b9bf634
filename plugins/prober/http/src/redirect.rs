use plimsoll_sdk::{Header, ProbeRequest, ProbeResponse};

use crate::token::is_authority;

/// Whether an answer leads elsewhere (RFC 9110 section 15.4).
pub(crate) fn is_one(answer: &ProbeResponse) -> bool {
    matches!(answer.status, 301 | 302 | 303 | 307 | 308)
}

/// What is asked then, at the same endpoint. None where `location` is no place to ask.
pub(crate) fn follow(asked: &ProbeRequest, answer: &ProbeResponse) -> Option<ProbeRequest> {
    let location = answer.headers.iter().find(|field| field.name == "location")?;
    let location = str::from_utf8(&location.value).ok()?.split('#').next()?;
    let absolute = ["http://", "https://", "//"].iter().find_map(|scheme| location.strip_prefix(scheme));
    let (authority, path) = match absolute {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..end]), rooted(&rest[end..]))
        }
        None if location.starts_with('/') => (None, location.to_owned()),
        None if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => return None,
        None => (None, beside(&asked.path, location)),
    };
    let is_path = path.bytes().all(|byte| byte > b' ' && byte < 0x7f);
    if !is_path || authority.is_some_and(|authority| !is_authority(authority)) {
        return None;
    }
    let mut next = ProbeRequest { path, ..asked.clone() };
    if let Some(authority) = authority {
        next.headers.retain(|field| field.name != "host");
        next.headers.insert(0, Header { name: "host".to_owned(), value: authority.as_bytes().to_vec() });
    }
    let asks_anew = answer.status == 303 && next.method != "HEAD";
    if asks_anew || matches!(answer.status, 301 | 302) && next.method == "POST" {
        next.method = "GET".to_owned();
        next.body.clear();
    }
    Some(next)
}

/// A path with its first slash, which a URL may leave out.
fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// A relative reference (RFC 3986 section 5.2), without `.` and `..` resolved, which endpoints do themselves.
fn beside(path: &str, reference: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    if reference.is_empty() || reference.starts_with('?') {
        return format!("{path}{reference}");
    }
    let directory = path.rfind('/').map_or("/", |slash| &path[..=slash]);
    format!("{directory}{reference}")
}
