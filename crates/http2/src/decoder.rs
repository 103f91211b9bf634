//! Header blocks as a client codes them (RFC 7541 section 6).

use http::Version;
use plimsoll_fields::{Fields, HeadError, HeadReader, Name, Part, RequestHead, huffman, integer};

use crate::encoder::NEVER_INDEXED;
use crate::table::{Entry, Table};

/// The compression of a connection, as its client does it.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    strings: Strings,
    /// What the fields of a block may have, counted with 32 for each.
    most_bytes: usize,
}

/// What strings are decoded into, kept to be used again.
#[derive(Debug, Default)]
struct Strings {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// What is kept to decode strings into, in bytes.
const LARGE: usize = 1024;
/// A byte takes five bits at least (RFC 7541 appendix B).
const FEWEST_BITS: usize = 5;

impl Decoder {
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { table: Table::new(), strings: Strings::default(), most_bytes }
    }

    pub(crate) fn read_request(&mut self, block: &[u8]) -> Result<RequestHead, HeadError> {
        self.read(block, Part::Request)?.into_request(Version::HTTP_2)
    }

    pub(crate) fn read_trailers(&mut self, block: &[u8]) -> Result<Fields, HeadError> {
        self.read(block, Part::Trailers)?.into_trailers()
    }

    /// Reads a block whose fields nobody wants, since what follows depends on it.
    pub(crate) fn skip(&mut self, block: &[u8]) -> Result<(), HeadError> {
        self.read(block, Part::Trailers).map(drop)
    }

    /// Gives up memory that large strings have taken.
    pub(crate) fn settle(&mut self) {
        if self.strings.name.capacity() + self.strings.value.capacity() > LARGE {
            self.strings = Strings::default();
        }
    }

    fn read(&mut self, mut block: &[u8], part: Part) -> Result<HeadReader, HeadError> {
        let mut head = HeadReader::new(part, self.most_bytes);
        // Nowhere else (RFC 7541 section 4.2).
        while let Some(0x20..0x40) = block.first() {
            let size = integer::take(&mut block, 5).ok_or(HeadError::Undecodable)?;
            self.table.resize(size).ok_or(HeadError::Undecodable)?;
        }
        while !block.is_empty() {
            self.take(&mut block, &mut head).ok_or(HeadError::Undecodable)?;
        }
        Ok(head)
    }

    /// Takes the next field of a block, and has the table keep it if it says so. None if it is none.
    fn take(&mut self, block: &mut &[u8], head: &mut HeadReader) -> Option<()> {
        match block.first()? {
            0x80.. => {
                let entry = self.table.get(integer::take(block, 7)?)?;
                if head.has_room_for(entry.length) {
                    head.add(entry.field.clone());
                }
                Some(())
            }
            0x40..0x80 => {
                let entry = self.take_literal(block, 6)?;
                if head.has_room_for(entry.length) {
                    head.add(entry.field.clone());
                }
                self.table.insert(entry);
                Some(())
            }
            0x20..0x40 => None,
            first => {
                let entry = self.take_literal(block, 4)?;
                if head.has_room_for(entry.length) {
                    head.add(if first & NEVER_INDEXED == 0 { entry.field } else { entry.field.never_indexed() });
                }
                Some(())
            }
        }
    }

    /// A field that is spelled out, at least its value.
    fn take_literal(&mut self, block: &mut &[u8], prefix: u32) -> Option<Entry> {
        let (name, name_length) = match integer::take(block, prefix)? {
            0 => {
                let name = take_string(block, &mut self.strings.name)?;
                (Name::of(name), name.len())
            }
            index => {
                let named = self.table.get(index)?;
                (named.name.clone(), named.name_length)
            }
        };
        Some(Entry::new(name, name_length, take_string(block, &mut self.strings.value)?))
    }
}

/// A string (RFC 7541 section 5.2), which may lie in the block or have to be decoded.
fn take_string<'s, 'a: 's>(block: &mut &'a [u8], decoded: &'s mut Vec<u8>) -> Option<&'s [u8]> {
    let is_coded = block.first()? & 0x80 != 0;
    let length = integer::take(block, 7)?;
    let (string, rest) = block.split_at_checked(length)?;
    *block = rest;
    if !is_coded {
        return Some(string);
    }
    decoded.clear();
    decoded.reserve(string.len() * 8 / FEWEST_BITS);
    huffman::decode(string, decoded)?;
    Some(decoded)
}
