use bytes::{Buf, Bytes, BytesMut};

use crate::code::Code;
use crate::frame::{self, Kind};

/// Type and length of a frame at the most.
const MOST_HEADER: usize = 16;

/// Reads what one side sends of a request: a field section, data, perhaps a section of trailers (RFC 9114 section 4.1).
#[derive(Debug)]
pub struct RequestStream {
    /// What a section may hold, in bytes as they are sent.
    most_section: usize,
    /// A header of a frame, or a section, that has begun and is not whole.
    held: BytesMut,
    state: State,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    /// Bytes to come of a section, of data, of what is passed over.
    Section(usize),
    Data(u64),
    Skipped(u64),
}

/// What has come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    Head,
    Trailers,
}

/// A piece of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole field section: of the head, the second time of trailers.
    Section(Bytes),
    Data(Bytes),
    /// A section that is larger than it may be. Nothing can be read behind it.
    TooLarge,
}

impl RequestStream {
    pub fn new(most_section: usize) -> Self {
        Self { most_section, held: BytesMut::new(), state: State::Header, part: Part::Nothing }
    }

    /// Takes the next piece of what was read. None when more has to be read.
    pub fn take(&mut self, bytes: &mut Bytes) -> Result<Option<Piece>, Code> {
        loop {
            match self.state {
                State::Header => match self.take_header(bytes) {
                    None => return Ok(None),
                    Some((kind, length)) => {
                        self.state = self.begin(kind, length)?;
                        if let State::Section(size) = self.state
                            && size > self.most_section
                        {
                            return Ok(Some(Piece::TooLarge));
                        }
                    }
                },
                State::Section(size) => {
                    let Some(section) = self.take_section(bytes, size) else { return Ok(None) };
                    self.state = State::Header;
                    return Ok(Some(Piece::Section(section)));
                }
                State::Data(0) | State::Skipped(0) => self.state = State::Header,
                _ if bytes.is_empty() => return Ok(None),
                State::Data(left) => {
                    let data = bytes.split_to(within(left, bytes.len()));
                    self.state = State::Data(left - data.len() as u64);
                    return Ok(Some(Piece::Data(data)));
                }
                State::Skipped(left) => {
                    let skipped = within(left, bytes.len());
                    bytes.advance(skipped);
                    self.state = State::Skipped(left - skipped as u64);
                }
            }
        }
    }

    /// Whether the stream may end here: behind a head, and not within a frame (RFC 9114 sections 4.1 and 7.1).
    pub fn end(&self) -> Result<(), Code> {
        match self.state {
            State::Header | State::Data(0) | State::Skipped(0) if self.held.is_empty() => match self.part {
                Part::Nothing => Err(Code::RequestIncomplete),
                Part::Head | Part::Trailers => Ok(()),
            },
            _ => Err(Code::FrameError),
        }
    }

    /// The head that has come was one in advance of another (1xx).
    pub fn expect_another_head(&mut self) {
        self.part = Part::Nothing;
    }

    /// Whether nothing of a frame has come.
    pub fn is_untouched(&self) -> bool {
        self.part == Part::Nothing && self.held.is_empty() && self.state == State::Header
    }

    fn begin(&mut self, kind: Kind, length: u64) -> Result<State, Code> {
        match (kind, self.part) {
            (Kind::Headers, Part::Nothing | Part::Head) => {
                self.part = if self.part == Part::Nothing { Part::Head } else { Part::Trailers };
                Ok(State::Section(usize::try_from(length).unwrap_or(usize::MAX)))
            }
            (Kind::Data, Part::Head) => Ok(State::Data(length)),
            // Section 4.1: unknown frames may stand anywhere.
            (Kind::Unknown, _) => Ok(State::Skipped(length)),
            _ => Err(Code::FrameUnexpected),
        }
    }

    fn take_header(&mut self, bytes: &mut Bytes) -> Option<(Kind, u64)> {
        if self.held.is_empty() {
            let mut rest = &bytes[..];
            if let Some(header) = frame::take_header(&mut rest) {
                bytes.advance(bytes.len() - rest.len());
                return Some(header);
            }
        }
        let before = self.held.len();
        self.held.extend_from_slice(&bytes[..bytes.len().min(MOST_HEADER - before)]);
        let mut rest = &self.held[..];
        let Some(header) = frame::take_header(&mut rest) else {
            bytes.clear();
            return None;
        };
        bytes.advance(self.held.len() - rest.len() - before);
        self.held.clear();
        Some(header)
    }

    fn take_section(&mut self, bytes: &mut Bytes, size: usize) -> Option<Bytes> {
        if self.held.is_empty() && bytes.len() >= size {
            return Some(bytes.split_to(size));
        }
        let missing = size - self.held.len();
        self.held.extend_from_slice(&bytes.split_to(missing.min(bytes.len())));
        (self.held.len() == size).then(|| std::mem::take(&mut self.held).freeze())
    }
}

fn within(left: u64, most: usize) -> usize {
    usize::try_from(left).map_or(most, |left| left.min(most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{put_data_header, put_section};

    fn pieces(bytes: &[u8], size: usize) -> Result<(Vec<u8>, Vec<Bytes>), Code> {
        let mut stream = RequestStream::new(100);
        let (mut data, mut sections) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(piece) = stream.take(&mut piece)? {
                match piece {
                    Piece::Section(section) => sections.push(section),
                    Piece::Data(bytes) => data.extend_from_slice(&bytes),
                    Piece::TooLarge => return Ok((data, sections)),
                }
            }
            assert!(piece.is_empty(), "all of it was read");
        }
        stream.end()?;
        Ok((data, sections))
    }

    proptest! {
        #[test]
        fn a_request_comes_out_in_whatever_pieces_it_comes(
            head in prop::collection::vec(any::<u8>(), 0..100),
            body in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
            trailers in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
            size in 1_usize..300,
        ) {
            let mut bytes = vec![0x21, 3, 1, 2, 3];
            put_section(&mut bytes, &head);
            for data in &body {
                put_data_header(&mut bytes, data.len());
                bytes.extend_from_slice(data);
                bytes.extend_from_slice(&[0x40, 0x21, 0]);
            }
            trailers.iter().for_each(|trailers| put_section(&mut bytes, trailers));
            let sections: Vec<Bytes> = std::iter::once(head).chain(trailers).map(Bytes::from).collect();
            prop_assert_eq!(pieces(&bytes, size), Ok((body.concat(), sections)));
        }

        #[test]
        fn nothing_that_comes_is_held_beyond_its_bound(bytes: Vec<u8>, size in 1_usize..50) {
            let _ = pieces(&bytes, size);
        }
    }

    #[test]
    fn what_must_not_come_is_refused() {
        assert_eq!(pieces(&[0x0, 1, 9], 9), Err(Code::FrameUnexpected), "DATA before a head");
        assert_eq!(pieces(&[0x1, 0, 0x1, 0, 0x0, 0], 9), Err(Code::FrameUnexpected), "DATA behind trailers");
        assert_eq!(pieces(&[0x1, 0, 0x1, 0, 0x1, 0], 9), Err(Code::FrameUnexpected), "a third section");
        assert_eq!(pieces(&[0x1, 0, 0x4, 0], 9), Err(Code::FrameUnexpected), "SETTINGS");
        assert_eq!(pieces(&[0x1, 0, 0x6, 0], 9), Err(Code::FrameUnexpected), "of HTTP/2");
        assert_eq!(pieces(&[0x1, 0, 0x0, 2, 1], 9), Err(Code::FrameError), "data that breaks off");
        assert_eq!(pieces(&[0x1, 0, 0x0], 9), Err(Code::FrameError), "a header that breaks off");
        assert_eq!(pieces(&[0x21, 0], 9), Err(Code::RequestIncomplete), "no head");
        let mut stream = RequestStream::new(100);
        assert_eq!(stream.take(&mut Bytes::from_static(&[0x1, 0x40, 101])), Ok(Some(Piece::TooLarge)));
    }
}
