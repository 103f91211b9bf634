use bytes::{Buf, Bytes, BytesMut};
use plimsoll_fields::{Fields, Frame};

use crate::error::Error;

/// How a body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes; 0 for no body.
    Length(u64),
    Chunked,
    /// By the end of the connection; answers only.
    Close,
}

/// Finds the end of a body in what is read, and what of it is content.
#[derive(Debug)]
pub struct BodyDecoder(State);

#[derive(Debug)]
enum State {
    /// So many bytes are to come.
    Length(u64),
    /// Until the connection ends.
    Close,
    Chunk(Chunk),
    Ended,
}

/// Where in the chunked coding (RFC 9112 section 7.1) the next byte is.
#[derive(Debug)]
enum Chunk {
    Size,
    Data(u64),
    /// The line end behind the data.
    DataEnd,
    Trailers,
}

/// A line with the size of a chunk, extensions included, and the trailers with all their lines.
const SIZE_LINE_BYTES: usize = 4 * 1024;
const TRAILER_BYTES: usize = 16 * 1024;
const TRAILER_FIELDS: usize = 64;

impl BodyDecoder {
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(0) => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunk(Chunk::Size),
            Framing::Close => State::Close,
        })
    }

    pub fn is_ended(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    /// Bytes still to come, if that is known.
    pub fn remaining(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Ended => Some(0),
            State::Close | State::Chunk(_) => None,
        }
    }

    /// Takes the next piece of content, or the trailers, from what was read. None when more has to be read first, or
    /// when the body has ended.
    pub fn take(&mut self, read: &mut BytesMut) -> Result<Option<Frame>, Error> {
        loop {
            match &mut self.0 {
                State::Ended => return Ok(None),
                State::Close => return Ok(take_at_most(read, u64::MAX).map(Frame::Data)),
                State::Length(left) => {
                    let Some(data) = take_at_most(read, *left) else { return Ok(None) };
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.0 = State::Ended;
                    }
                    return Ok(Some(Frame::Data(data)));
                }
                State::Chunk(chunk) => match chunk {
                    Chunk::Size => match take_size(read)? {
                        None => return Ok(None),
                        Some(0) => *chunk = Chunk::Trailers,
                        Some(size) => *chunk = Chunk::Data(size),
                    },
                    Chunk::Data(left) => {
                        let Some(data) = take_at_most(read, *left) else { return Ok(None) };
                        *left -= data.len() as u64;
                        if *left == 0 {
                            *chunk = Chunk::DataEnd;
                        }
                        return Ok(Some(Frame::Data(data)));
                    }
                    Chunk::DataEnd => {
                        if read.len() < 2 {
                            return Ok(None);
                        }
                        if !read.starts_with(b"\r\n") {
                            return Err(Error::Malformed("no line end behind a chunk"));
                        }
                        read.advance(2);
                        *chunk = Chunk::Size;
                    }
                    Chunk::Trailers => {
                        let Some(trailers) = take_trailers(read)? else { return Ok(None) };
                        self.0 = State::Ended;
                        return Ok((!trailers.is_empty()).then(|| Frame::Trailers(trailers)));
                    }
                },
            }
        }
    }

    /// The connection has ended: fine when that is what ends the body.
    pub fn connection_ended(&mut self) -> Result<(), Error> {
        match self.0 {
            State::Close | State::Ended => {
                self.0 = State::Ended;
                Ok(())
            }
            State::Length(_) | State::Chunk(_) => Err(Error::Truncated),
        }
    }
}

/// Up to here, copying a piece costs less than sharing what it was read into, which then could not be read into again.
const COPIED: usize = 2048;

fn take_at_most(read: &mut BytesMut, most: u64) -> Option<Bytes> {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(read.len());
    match length {
        0 => None,
        1..=COPIED => {
            let data = Bytes::copy_from_slice(&read[..length]);
            read.advance(length);
            Some(data)
        }
        _ => Some(read.split_to(length).freeze()),
    }
}

/// The size of the next chunk. Its extensions have no meaning here and end here (RFC 9112 section 7.1.1).
fn take_size(read: &mut BytesMut) -> Result<Option<u64>, Error> {
    let Some(end) = read.iter().position(|byte| *byte == b'\n') else {
        return if read.len() > SIZE_LINE_BYTES { Err(Error::Malformed("chunk size is too long")) } else { Ok(None) };
    };
    let line = read[..end].strip_suffix(b"\r").ok_or(Error::Malformed("bare line feed in a chunk size"))?;
    if end > SIZE_LINE_BYTES || line.contains(&b'\r') {
        return Err(Error::Malformed("chunk size"));
    }
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let behind = line[digits..].trim_ascii_start();
    if !(1..=16).contains(&digits) || !(behind.is_empty() || behind.starts_with(b";")) {
        return Err(Error::Malformed("chunk size"));
    }
    let size = line[..digits].iter().fold(0, |size, digit| size << 4 | u64::from(hex(*digit)));
    read.advance(end + 1);
    Ok(Some(size))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// The fields behind the last chunk, up to the empty line.
fn take_trailers(read: &mut BytesMut) -> Result<Option<Fields>, Error> {
    let mut fields = [httparse::EMPTY_HEADER; TRAILER_FIELDS];
    let parsed = httparse::parse_headers(read, &mut fields).map_err(|_| Error::Malformed("trailers"))?;
    let httparse::Status::Complete((length, fields)) = parsed else {
        return if read.len() > TRAILER_BYTES { Err(Error::HeadTooLarge) } else { Ok(None) };
    };
    let mut trailers = Fields::new();
    for field in fields {
        let name = http::HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Error::Malformed("trailer name"))?;
        let value = http::HeaderValue::from_bytes(field.value).map_err(|_| Error::Malformed("trailer value"))?;
        trailers.append(name, value);
    }
    read.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes what comes in these pieces, to content, trailers and what is left behind the end.
    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Fields, Vec<u8>, bool), Error> {
        let (mut decoder, mut read) = (BodyDecoder::new(framing), BytesMut::new());
        let (mut content, mut trailers) = (Vec::new(), Fields::new());
        for piece in pieces {
            read.extend_from_slice(piece);
            while let Some(frame) = decoder.take(&mut read)? {
                match frame {
                    Frame::Data(data) => content.extend_from_slice(&data),
                    Frame::Trailers(fields) => trailers = fields,
                }
            }
        }
        Ok((content, trailers, read.to_vec(), decoder.is_ended()))
    }

    fn chunked(text: &[u8]) -> Result<(Vec<u8>, Fields, Vec<u8>, bool), Error> {
        decode(Framing::Chunked, &[text])
    }

    proptest! {
        #[test]
        fn the_pieces_in_which_a_body_comes_do_not_matter(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 0..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut coded: Vec<u8> = Vec::new();
            for chunk in &chunks {
                coded.extend(format!("{:X};ext=\"1\"\r\n", chunk.len()).bytes());
                coded.extend(chunk);
                coded.extend(b"\r\n");
            }
            coded.extend(b"0\r\nx-sum: 7\r\n\r\nbehind");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(coded.len())).collect();
            cuts.extend([0, coded.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &coded[pair[0]..pair[1]]).collect();
            let (content, trailers, behind, ended) = decode(Framing::Chunked, &pieces).expect("valid");
            prop_assert_eq!(content, chunks.concat());
            prop_assert_eq!(&trailers["x-sum"], "7");
            prop_assert_eq!(behind, b"behind");
            prop_assert!(ended);
        }

        #[test]
        fn no_bytes_are_fatal(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _either = chunked(&bytes);
        }
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let (content, _, behind, ended) = decode(Framing::Length(3), &[b"a", b"bcd"]).expect("valid");
        assert_eq!((content.as_slice(), behind.as_slice(), ended), (&b"abc"[..], &b"d"[..], true));
        assert!(BodyDecoder::new(Framing::Length(3)).connection_ended().is_err());
        assert!(BodyDecoder::new(Framing::Close).connection_ended().is_ok());
        assert!(BodyDecoder::new(Framing::Chunked).connection_ended().is_err());
    }

    #[test]
    fn rfc9112_7_1_chunks_that_can_be_read_in_two_ways_are_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "0x1\r\na\r\n",
            "1\na\r\n",
            "1\r\nab\r\n",
            "1 2\r\na\r\n",
            "11111111111111111\r\n",
            "1\r;\r\na\r\n",
            "0\r\nx y: z\r\n\r\n",
        ] {
            assert!(chunked(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(chunked(format!("1;{}", "x".repeat(SIZE_LINE_BYTES)).as_bytes()).is_err());
        assert!(chunked(format!("0\r\nx: {}", "y".repeat(TRAILER_BYTES)).as_bytes()).is_err());
        assert!(chunked(format!("0\r\n{}\r\n", "x: y\r\n".repeat(TRAILER_FIELDS + 1)).as_bytes()).is_err());
    }
}
