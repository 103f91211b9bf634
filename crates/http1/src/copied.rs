use bytes::Bytes;
use http::HeaderValue;

/// The values of a head share one copy of it: the buffer that it was read into stays free for what comes next.
pub(crate) struct Copied<'a> {
    received: &'a [u8],
    copy: Bytes,
}

impl<'a> Copied<'a> {
    pub(crate) fn of(received: &'a [u8]) -> Self {
        Self { received, copy: Bytes::copy_from_slice(received) }
    }

    pub(crate) fn share(&self, part: &[u8]) -> Bytes {
        let from = (part.as_ptr() as usize).wrapping_sub(self.received.as_ptr() as usize);
        match from.checked_add(part.len()) {
            Some(to) if to <= self.copy.len() => self.copy.slice(from..to),
            _ => Bytes::copy_from_slice(part),
        }
    }

    /// The value of a field that was found in the head.
    pub(crate) fn value(&self, field: &httparse::Header<'_>) -> HeaderValue {
        let value = self.share(field.value);
        #[allow(unsafe_code, reason = "looking at each byte once more is a tenth of what reading a head takes")]
        // SAFETY: the bytes must be those that a `HeaderValue` may have. httparse has let in no others; the test below asks it
        // about each.
        unsafe {
            HeaderValue::from_maybe_shared_unchecked(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_takes_for_a_value_is_one() {
        let mut taken = 0;
        for byte in 0..=u8::MAX {
            // In a long value, which is read in larger steps, in its remainder, and at its ends.
            for (before, after) in [(0, 0), (1, 1), (40, 0), (40, 40), (0, 40), (7, 3)] {
                let text = [b"x:".as_slice(), &vec![b'y'; before], &[byte], &vec![b'y'; after], b"\r\n\r\n"].concat();
                let mut fields = [httparse::EMPTY_HEADER; 2];
                let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&text, &mut fields) else {
                    continue;
                };
                for field in fields {
                    assert!(HeaderValue::from_bytes(field.value).is_ok(), "{byte}");
                    assert_eq!(Copied::of(&text).value(field), field.value);
                    taken += 1;
                }
            }
        }
        assert!(taken > 6 * 200, "{taken}");
    }
}
