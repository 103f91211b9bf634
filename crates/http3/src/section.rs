//! Field sections (RFC 9204 section 4.5), without a dynamic table.

use plimsoll_fields::{huffman, integer};

use crate::static_table::{FIELDS, index_of};

/// A field of a section that is being read; its texts are those of the section, the static table, or `buffers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) never_indexed: bool,
}

/// Texts that were coded, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Takes what a section begins with. None unless it needs no dynamic table.
pub(crate) fn take_prefix(section: &mut &[u8]) -> Option<()> {
    let required_inserts = integer::take(section, 8)?;
    let is_below = section.first()? & 0x80 != 0;
    // How far the base is from there says nothing where nothing refers to it.
    integer::take(section, 7)?;
    (required_inserts == 0 && !is_below).then_some(())
}

/// Takes the next field. None if it is none, or one of the dynamic table, which has none.
pub(crate) fn take_field<'a: 'b, 'b>(section: &mut &'a [u8], buffers: &'b mut Buffers) -> Option<Field<'b>> {
    const IS_STATIC: u8 = 0x40;
    const NAME_IS_STATIC: u8 = 0x10;
    match *section.first()? {
        first @ 0x80.. => {
            let (name, value) = FIELDS.get(integer::take(section, 6)?)?;
            let field = Field { name: name.as_bytes(), value: value.as_bytes(), never_indexed: false };
            (first & IS_STATIC != 0).then_some(field)
        }
        first @ 0x40..0x80 => {
            let (name, _) = FIELDS.get(integer::take(section, 4)?)?;
            if first & NAME_IS_STATIC == 0 {
                return None;
            }
            let value = take_text(section, 7, &mut buffers.value)?;
            Some(Field { name: name.as_bytes(), value, never_indexed: first & 0x20 != 0 })
        }
        first @ 0x20..0x40 => {
            let name = take_text(section, 3, &mut buffers.name)?;
            let value = take_text(section, 7, &mut buffers.value)?;
            Some(Field { name, value, never_indexed: first & 0x10 != 0 })
        }
        _ => None,
    }
}

/// A text whose length has a prefix of so many bits, with the one above it for whether the text is coded.
fn take_text<'a: 'b, 'b>(section: &mut &'a [u8], bits: u32, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
    let is_coded = section.first()? >> bits & 1 == 1;
    let length = integer::take(section, bits)?;
    let (text, rest) = section.split_at_checked(length)?;
    *section = rest;
    if !is_coded {
        return Some(text);
    }
    buffer.clear();
    huffman::decode(text, buffer)?;
    Some(buffer)
}

/// Appends the prefix of a section that needs no dynamic table.
pub(crate) fn put_prefix(section: &mut Vec<u8>) {
    section.extend_from_slice(&[0, 0]);
}

/// Appends a field of the static table.
pub(crate) fn put_indexed(section: &mut Vec<u8>, index: u8) {
    integer::put(section, 0xc0, 6, index.into());
}

/// Appends a field whose name is in the static table.
pub(crate) fn put_value(section: &mut Vec<u8>, name: u8, value: &[u8], never_indexed: bool) {
    let never_indexed = if never_indexed { 0x20 } else { 0 };
    integer::put(section, 0x50 | never_indexed, 4, name.into());
    put_text(section, 0, 7, value);
}

/// Appends a field; its name is in lower case.
pub(crate) fn put_field(section: &mut Vec<u8>, name: &str, value: &[u8], never_indexed: bool) {
    if let Some(index) = index_of(name) {
        return put_value(section, index, value, never_indexed);
    }
    let never_indexed = if never_indexed { 0x10 } else { 0 };
    put_text(section, 0x20 | never_indexed, 3, name.as_bytes());
    put_text(section, 0, 7, value);
}

/// As it is: coding it would save a quarter of its bytes and cost more than all else in a section.
fn put_text(section: &mut Vec<u8>, flags: u8, bits: u32, text: &[u8]) {
    integer::put(section, flags, bits, text.len());
    section.extend_from_slice(text);
}
