use crate::table::{Entry, Table};
use plimsoll_fields::Name;
use plimsoll_fields::{huffman, integer};

/// One piece of a header block (RFC 7541 section 6).
pub(crate) enum Representation<'a> {
    /// The dynamic table gets another size.
    Resize,
    /// A field as some entry has it.
    Indexed(Entry),
    Literal(Literal<'a>),
}

/// A field that is spelled out, at least its value.
pub(crate) struct Literal<'a> {
    pub(crate) entry: Entry,
    /// It has become an entry of the dynamic table.
    pub(crate) is_inserted: bool,
    /// `h2` takes it for a field.
    pub(crate) is_readable: bool,
    /// Its bytes up to the value: how it is represented, and its name.
    head: &'a [u8],
}

/// What strings are decoded into, kept to be used again.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Takes the next piece of a block, and does to the table what it says. None if it is none.
pub(crate) fn take<'a>(block: &mut &'a [u8], table: &mut Table, strings: &mut Strings) -> Option<Representation<'a>> {
    match block.first()? {
        0x80.. => table.get(integer::take(block, 7)?).map(Representation::Indexed),
        0x40..0x80 => take_literal(block, 6, table, strings).map(Representation::Literal),
        0x20..0x40 => {
            let size = integer::take(block, 5)?;
            table.resize(size).map(|()| Representation::Resize)
        }
        _ => take_literal(block, 4, table, strings).map(Representation::Literal),
    }
}

fn take_literal<'a>(
    block: &mut &'a [u8],
    prefix: u32,
    table: &mut Table,
    strings: &mut Strings,
) -> Option<Literal<'a>> {
    let whole = *block;
    let (name, name_length) = match integer::take(block, prefix)? {
        0 => {
            let name = take_string(block, &mut strings.name)?;
            (Name::of(name), name.len())
        }
        index => {
            let named = table.get(index)?;
            (named.name, named.name_length)
        }
    };
    let head = &whole[..whole.len() - block.len()];
    let value = take_string(block, &mut strings.value)?;
    let entry = Entry::new(name, name_length, value);
    let is_inserted = prefix == 6;
    if is_inserted {
        table.insert(entry);
    }
    let is_readable = entry.malformed.is_none() || name.is_readable(value);
    Some(Literal { entry, is_inserted, is_readable, head })
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
    huffman::decode(string, decoded)?;
    Some(decoded)
}

impl Literal<'_> {
    /// Appends a field that `h2` can read and that takes as much of its table. None if there is none of so few bytes.
    pub(crate) fn put_substitute(&self, block: &mut Vec<u8>) -> Option<()> {
        const FILLING: u8 = b'x';
        let Entry { name, name_length, value_length, .. } = self.entry;
        if name.is_readable(&vec![FILLING; value_length]) {
            block.extend_from_slice(self.head);
            put_string(block, FILLING, value_length);
            return Some(());
        }
        let (name_length, value_length) = match (name_length, value_length) {
            (0, value_length) => (1, value_length.checked_sub(1)?),
            lengths => lengths,
        };
        integer::put(block, 0x40, 6, 0);
        put_string(block, FILLING, name_length);
        put_string(block, FILLING, value_length);
        Some(())
    }
}

fn put_string(block: &mut Vec<u8>, filling: u8, length: usize) {
    integer::put(block, 0, 7, length);
    block.resize(block.len() + length, filling);
}
