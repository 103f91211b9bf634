use std::borrow::Cow;

/// The path as it is compared: with `.` and `..` segments resolved (RFC 3986 section 5.2.4), spelled as they are or with
/// `%2e`. The endpoint will resolve them in its turn, and `/public/../admin` must not pass as something public. Nothing
/// else is decoded.
pub(crate) fn resolved(path: &[u8]) -> Cow<'_, [u8]> {
    if !segments(path).any(|segment| dots(segment) > 0) {
        return Cow::Borrowed(path);
    }
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut ends_with_dots = false;
    for segment in segments(path) {
        let dots = dots(segment);
        ends_with_dots = dots > 0;
        match dots {
            1 => {}
            2 => {
                let parent = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if ends_with_dots || out.is_empty() {
        out.push(b'/');
    }
    Cow::Owned(out)
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/')
}

/// 1 or 2 for a segment that stands for this place or the one above; 0 for others.
fn dots(segment: &[u8]) -> u32 {
    let mut rest = segment;
    let mut dots = 0;
    while let [b'.', tail @ ..] | [b'%', b'2', b'e' | b'E', tail @ ..] = rest {
        dots += 1;
        rest = tail;
        if dots > 2 {
            return 0;
        }
    }
    if rest.is_empty() { dots } else { 0 }
}

/// The beginnings of a path that end with a segment, the longest first and the empty one last, of at most `depth`
/// segments. A final slash is not looked at: `/api/` is the beginning `/api`.
pub(crate) fn prefixes(path: &[u8], depth: usize) -> Vec<&[u8]> {
    let mut prefixes = vec![&path[..0]];
    let inner = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    prefixes.extend(inner.chain([path.len()]).take(depth).map(|end| &path[..end]));
    prefixes.reverse();
    prefixes
}

/// The number of segments of a prefix that has no final slash.
pub(crate) fn depth(prefix: &[u8]) -> usize {
    prefix.iter().filter(|byte| **byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_resolved() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/./b/.", "/a/b/"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a//../b", "/a/b"),
            ("/.../b/..c", "/.../b/..c"),
            ("/%2e%2e%2e/x", "/%2e%2e%2e/x"),
            ("/a/%252e%252e/b", "/a/%252e%252e/b"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&resolved(path.as_bytes())), expected, "{path}");
        }
    }

    #[test]
    fn beginnings_end_with_a_segment() {
        let list = |path: &'static str, depth| -> Vec<_> {
            prefixes(path.as_bytes(), depth).into_iter().map(|p| str::from_utf8(p).unwrap()).collect()
        };
        assert_eq!(list("/a/bc/d", 9), ["/a/bc/d", "/a/bc", "/a", ""]);
        assert_eq!(list("/a/bc/d", 1), ["/a", ""]);
        assert_eq!(list("/a/", 9), ["/a/", "/a", ""]);
        assert_eq!(list("/", 9), ["/", ""]);
        assert_eq!(list("", 9), ["", ""]);
    }
}
