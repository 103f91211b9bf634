use std::cell::RefCell;
use std::io::Write as _;

use http::response::Parts;

use super::headers;

/// What endpoints answer in advance (1xx, RFC 9110 section 15.2), such as 103 (Early Hints), on its way to a client of
/// HTTP/1.1. hyper's server sends no such heads, so the stream of the connection does, in front of the answer.
#[derive(Debug, Default)]
pub struct Interim {
    heads: RefCell<Vec<u8>>,
}

/// Bytes that wait for a client; a head that finds no room is left out, as a proxy may do with any (RFC 9110 section 15.2).
const MOST_BYTES: usize = 16 * 1024;

impl Interim {
    /// Takes a head that is to be sent before the answer.
    pub(super) fn push(&self, mut head: Parts) {
        headers::prepare_response(&mut head.headers);
        let mut text = Vec::with_capacity(256);
        let reason = head.status.canonical_reason().unwrap_or_default();
        // Writing to a vector does not fail.
        let _ = write!(text, "HTTP/1.1 {} {reason}\r\n", head.status.as_str());
        for (name, value) in &head.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        let mut heads = self.heads.borrow_mut();
        if heads.len() + text.len() <= MOST_BYTES {
            heads.append(&mut text);
        }
    }

    /// The heads that wait, as they are to be sent.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut heads = self.heads.borrow_mut();
        (!heads.is_empty()).then(|| std::mem::take(&mut *heads))
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn hints(link: &str) -> Parts {
        let response = Response::builder().status(103).header("link", link).header("connection", "x").header("x", "1");
        response.body(()).expect("valid").into_parts().0
    }

    #[test]
    fn heads_are_sent_in_order_and_without_what_belongs_to_a_connection() {
        let interim = Interim::default();
        assert_eq!(interim.take(), None);
        interim.push(hints("</a>"));
        interim.push(hints("</b>"));
        let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n";
        assert_eq!(interim.take().map(String::from_utf8), Some(Ok(expected.to_owned())));
        assert_eq!(interim.take(), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let interim = Interim::default();
        for _ in 0..100 {
            interim.push(hints(&"l".repeat(1000)));
        }
        let waiting = interim.take().expect("something waits").len();
        assert!((MOST_BYTES - 2000..=MOST_BYTES).contains(&waiting), "{waiting}");
    }
}
