use std::task::{Context, Poll};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::BytesMut;
use plimsoll_fields::Frame;

use super::body::Body;
use crate::error::{Error, ErrorKind};

/// A request's body whose client has put it in base64, as it is beneath. Parts that were encoded one by one, each with its
/// padding, may follow each other.
#[derive(Debug)]
pub struct Base64Body<B> {
    encoded: B,
    /// What is no whole group yet.
    rest: BytesMut,
    ended: bool,
}

/// Characters that stand for up to three bytes.
const GROUP: usize = 4;
/// Its padding ends a part, so each is decoded by itself.
const PADDING: u8 = b'=';
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

impl<B: Body> Base64Body<B> {
    pub fn new(encoded: B) -> Self {
        Self { encoded, rest: BytesMut::new(), ended: false }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn poll_frame(&mut self, task: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let frame = match self.encoded.poll_frame(task) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(None) => {
                    self.ended = true;
                    let is_whole = self.rest.is_empty();
                    return Poll::Ready((!is_whole).then(|| Err(malformed())));
                }
                other => return other,
            };
            let Frame::Data(data) = frame else { return Poll::Ready(Some(Ok(frame))) };
            self.rest.extend_from_slice(&data);
            let whole = self.rest.len() / GROUP * GROUP;
            let Some(decoded) = decode(&self.rest.split_to(whole)) else { return Poll::Ready(Some(Err(malformed()))) };
            if !decoded.is_empty() {
                return Poll::Ready(Some(Ok(Frame::Data(decoded.into()))));
            }
        }
    }
}

fn malformed() -> Error {
    ErrorKind::BadRequest("body is not base64").into()
}

/// Decodes parts of whole groups. None when they are not base64.
fn decode(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / GROUP * 3);
    while !text.is_empty() {
        let end = text.iter().position(|byte| *byte == PADDING).map_or(text.len(), |at| (at / GROUP + 1) * GROUP);
        let (part, rest) = text.split_at_checked(end)?;
        ENGINE.decode_vec(part, &mut decoded).ok()?;
        text = rest;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_with_padding_may_follow_each_other() {
        for (text, decoded) in [
            (&b""[..], Some(&b""[..])),
            (b"YWJj", Some(b"abc")),
            (b"YQ==YmM=ZGVm", Some(b"abcdef")),
            (b"YQ==", Some(b"a")),
            (b"YQ=a", None),
            (b"Y===", None),
            (b"====", None),
            (b"Y\r\nQ", None),
            (b"YR==", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{}", String::from_utf8_lossy(text));
        }
    }
}
