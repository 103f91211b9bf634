use plimsoll_fields::{Fields, Malformed, Part};

use crate::representation::{self, Representation, Strings};
use crate::table::Table;

/// What came of looking at a block.
#[derive(Debug)]
pub(crate) enum Judged {
    Good,
    /// What `h2` is to be given in its place.
    Malformed(Malformed, Vec<u8>),
    /// An error of compression, which ends the connection (RFC 9113 section 4.3).
    Unreadable,
}

/// The compression of a connection, as its client does it.
#[derive(Debug)]
pub(crate) struct Blocks {
    table: Table,
    strings: Strings,
}

impl Blocks {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(), strings: Strings::default() }
    }

    pub(crate) fn judge(&mut self, block: &[u8], part: Part) -> Judged {
        self.read(block, part).unwrap_or(Judged::Unreadable)
    }

    fn read(&mut self, block: &[u8], part: Part) -> Option<Judged> {
        let mut fields = Fields::new(part);
        // What replaces the block, from the first field on that must not stay as it is.
        let mut substitute: Option<Vec<u8>> = None;
        let mut rest = block;
        while !rest.is_empty() {
            let at = block.len() - rest.len();
            let representation = representation::take(&mut rest, &mut self.table, &mut self.strings)?;
            match &representation {
                Representation::Resize => {}
                Representation::Indexed(entry) => entry.add_to(&mut fields),
                Representation::Literal(literal) => literal.entry.add_to(&mut fields),
            }
            match (representation, &mut substitute) {
                (Representation::Literal(literal), _) if !literal.is_readable => {
                    let substitute = substitute.get_or_insert_with(|| block[..at].to_vec());
                    if literal.is_inserted {
                        literal.put_substitute(substitute)?;
                    }
                }
                (_, Some(substitute)) => substitute.extend_from_slice(&block[at..block.len() - rest.len()]),
                (_, None) => {}
            }
        }
        let Some(malformed) = fields.finish() else { return Some(Judged::Good) };
        let mut substitute = substitute.unwrap_or_else(|| block.to_vec());
        substitute.extend_from_slice(POISON);
        Some(Judged::Malformed(malformed, substitute))
    }
}

/// `connection: x`, as a literal that is not indexed: no block with it is well-formed (RFC 9113 section 8.2.2).
const POISON: &[u8] = b"\x00\x0aconnection\x01x";
