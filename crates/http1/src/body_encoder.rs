use std::io::{IoSlice, Write as _};

use bytes::{Buf, Bytes};
use plimsoll_fields::Fields;

use crate::error::Error;
use crate::trailers::may_trail;

/// How a body that is sent is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedFraming {
    /// There is no body, and nothing says so.
    None,
    Length(u64),
    Chunked,
    /// By the end of the connection; answers only.
    Close,
}

/// A message on its way out: its head, and its body piece by piece in the framing that the head has announced.
#[derive(Debug)]
pub struct BodyEncoder {
    framing: EncodedFraming,
    /// What goes out next, in front of `chunk`: the head, the frame of a chunk, small pieces of the body.
    out: Vec<u8>,
    written: usize,
    /// A piece of the body that is too large to be copied.
    chunk: Bytes,
    /// What goes out behind `chunk`: its line end, the end of the body. It is empty when `chunk` is.
    behind: Vec<u8>,
    ended: bool,
}

/// Gathered before it is written, and up to which a piece is copied rather than written from where it is.
const GATHERED: usize = 8 * 1024;

impl BodyEncoder {
    /// `out` holds the head.
    pub fn new(out: Vec<u8>, framing: EncodedFraming) -> Self {
        let ended = matches!(framing, EncodedFraming::None | EncodedFraming::Length(0));
        Self { framing, out, written: 0, chunk: Bytes::new(), behind: Vec::new(), ended }
    }

    /// True once the message is whole, though not all of it need be written.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// False while there is so much to write that more should wait.
    pub fn has_room(&self) -> bool {
        self.chunk.is_empty() && self.out.len() - self.written < GATHERED
    }

    /// Adds a piece of the body. Fails when the body is longer than was announced.
    pub fn add(&mut self, data: Bytes) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        let length = data.len() as u64;
        match &mut self.framing {
            EncodedFraming::None => return Err(WRONG_LENGTH),
            EncodedFraming::Length(left) => {
                *left = left.checked_sub(length).ok_or(WRONG_LENGTH)?;
                self.ended = *left == 0;
            }
            EncodedFraming::Close => {}
            EncodedFraming::Chunked => {
                // Writing to memory does not fail.
                let _ = write!(self.out, "{length:x}\r\n");
            }
        }
        if data.len() <= GATHERED {
            self.out.extend_from_slice(&data);
        } else {
            self.chunk = data;
        }
        if self.framing == EncodedFraming::Chunked {
            self.last().extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// Ends the body. Fails when it is shorter than was announced. Trailers need chunks.
    pub fn end(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
        match self.framing {
            EncodedFraming::Length(1..) => return Err(WRONG_LENGTH),
            EncodedFraming::Length(0) | EncodedFraming::None | EncodedFraming::Close => {}
            EncodedFraming::Chunked => {
                let out = self.last();
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| may_trail(name)) {
                    out.extend_from_slice(name.as_str().as_bytes());
                    out.extend_from_slice(b": ");
                    out.extend_from_slice(value.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"\r\n");
            }
        }
        self.ended = true;
        Ok(())
    }

    /// Where that goes which follows everything so far.
    fn last(&mut self) -> &mut Vec<u8> {
        if self.chunk.is_empty() { &mut self.out } else { &mut self.behind }
    }

    /// True when everything that was added has been written.
    pub fn is_written(&self) -> bool {
        self.chunk.is_empty() && self.written == self.out.len()
    }

    /// What is to be written next; each may be empty.
    pub fn unwritten(&self) -> [IoSlice<'_>; 3] {
        [IoSlice::new(&self.out[self.written..]), IoSlice::new(&self.chunk), IoSlice::new(&self.behind)]
    }

    /// So many bytes of [`unwritten`](Self::unwritten) have been written.
    pub fn advance(&mut self, written: usize) {
        let of_front = written.min(self.out.len() - self.written);
        self.written += of_front;
        let of_chunk = (written - of_front).min(self.chunk.len());
        self.chunk.advance(of_chunk);
        if !self.chunk.is_empty() || self.written < self.out.len() {
            return;
        }
        self.out.clear();
        self.written = 0;
        if self.behind.is_empty() {
            return;
        }
        // What is behind the chunk is at the front now.
        std::mem::swap(&mut self.out, &mut self.behind);
        self.written = written - of_front - of_chunk;
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }

    /// The buffer, for the next message: the one that has grown.
    pub fn into_buffer(self) -> Vec<u8> {
        let mut buffer = if self.behind.capacity() > self.out.capacity() { self.behind } else { self.out };
        buffer.clear();
        buffer
    }
}

const WRONG_LENGTH: Error = Error::Malformed("the body is not as long as its head says");

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use plimsoll_fields::Frame;
    use proptest::prelude::*;

    use super::*;
    use crate::body_decoder::{BodyDecoder, Framing};

    /// Everything that an encoder has, written in steps of so many bytes.
    fn write(encoder: &mut BodyEncoder, step: usize, to: &mut Vec<u8>) {
        while !encoder.is_written() {
            let all: Vec<u8> = encoder.unwritten().iter().flat_map(|slice| slice.to_vec()).collect();
            let written = step.min(all.len());
            to.extend_from_slice(&all[..written]);
            encoder.advance(written);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20_000), 0..4),
            step in 1_usize..30_000,
            chunked in any::<bool>(),
        ) {
            let body = pieces.concat();
            let (encoded, framing) = if chunked {
                (EncodedFraming::Chunked, Framing::Chunked)
            } else {
                (EncodedFraming::Length(body.len() as u64), Framing::Length(body.len() as u64))
            };
            let (mut encoder, mut wire) = (BodyEncoder::new(Vec::new(), encoded), Vec::new());
            for piece in pieces {
                encoder.add(piece.into()).expect("it fits");
                write(&mut encoder, step, &mut wire);
            }
            encoder.end(None).expect("it is whole");
            prop_assert!(encoder.is_ended());
            write(&mut encoder, step, &mut wire);
            let (mut decoder, mut read, mut content) = (BodyDecoder::new(framing), BytesMut::from(&wire[..]), Vec::new());
            while let Some(frame) = decoder.take(&mut read).expect("valid") {
                let Frame::Data(data) = frame else { panic!("there are no trailers") };
                content.extend_from_slice(&data);
            }
            prop_assert!(decoder.is_ended() && read.is_empty());
            prop_assert_eq!(content, body);
        }
    }

    #[test]
    fn the_buffer_comes_back_as_large_as_it_was_given() {
        for size in [0, 100, 3 * GATHERED] {
            let mut encoder = BodyEncoder::new(Vec::with_capacity(512), EncodedFraming::Chunked);
            encoder.add(vec![b'x'; size].into()).expect("it fits");
            let mut wire = Vec::new();
            write(&mut encoder, 50, &mut wire);
            encoder.end(None).expect("it is whole");
            write(&mut encoder, 50, &mut wire);
            assert!(encoder.into_buffer().capacity() >= 512, "{size}");
        }
    }

    #[test]
    fn a_body_must_be_as_long_as_was_announced() {
        let mut short = BodyEncoder::new(Vec::new(), EncodedFraming::Length(3));
        short.add("ab".into()).expect("it fits");
        assert!(short.end(None).is_err());
        assert!(short.add("cd".into()).is_err());
        assert!(BodyEncoder::new(Vec::new(), EncodedFraming::None).add("a".into()).is_err());
    }

    #[test]
    fn rfc9110_6_5_1_fields_of_heads_do_not_trail() {
        let mut encoder = BodyEncoder::new(Vec::new(), EncodedFraming::Chunked);
        let mut trailers = Fields::new();
        trailers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("5"));
        trailers.insert(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("7"));
        encoder.end(Some(&trailers)).expect("it is whole");
        let mut wire = Vec::new();
        write(&mut encoder, 100, &mut wire);
        assert_eq!(wire, b"0\r\nx-sum: 7\r\n\r\n");
    }
}
