use crate::malformed::Malformed;
use crate::name::Name;
use crate::representation::{self, Representation, Strings};
use crate::table::{Entry, Table};

/// What a header block stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Request,
    Trailers,
}

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
                Representation::Indexed(entry) => fields.add(*entry),
                Representation::Literal(literal) => fields.add(literal.entry),
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

/// The fields of a block, as far as they depend on each other.
struct Fields {
    part: Part,
    /// A bit for each pseudo-field that was there.
    pseudo: u8,
    has_field: bool,
    is_connect: bool,
    malformed: Option<Malformed>,
}

impl Fields {
    fn new(part: Part) -> Self {
        Self { part, pseudo: 0, has_field: false, is_connect: false, malformed: None }
    }

    fn add(&mut self, entry: Entry) {
        let malformed = if entry.name.is_pseudo() {
            let (seen, bit) = (self.pseudo, bit(entry.name));
            self.pseudo |= bit;
            match self.part {
                Part::Trailers => Some(Malformed::PseudoFieldInTrailers),
                Part::Request if self.has_field => Some(Malformed::LatePseudoField),
                Part::Request if seen & bit != 0 => Some(Malformed::RepeatedPseudoField),
                Part::Request => None,
            }
        } else {
            self.has_field = true;
            None
        };
        self.is_connect |= entry.is_connect;
        self.malformed = self.malformed.or(entry.malformed).or(malformed);
    }

    /// RFC 9113 sections 8.3.1 and 8.5, RFC 8441 section 4.
    fn finish(self) -> Option<Malformed> {
        if self.malformed.is_some() || self.part == Part::Trailers {
            return self.malformed;
        }
        let has = |name| self.pseudo & bit(name) != 0;
        let is_whole = has(Name::Method)
            && if self.is_connect && !has(Name::Protocol) {
                has(Name::Authority)
            } else {
                has(Name::Scheme) && has(Name::Path)
            };
        (!is_whole).then_some(Malformed::MissingPseudoField)
    }
}

fn bit(name: Name) -> u8 {
    match name {
        Name::Method => 1,
        Name::Scheme => 2,
        Name::Authority => 4,
        Name::Path => 8,
        Name::Protocol => 16,
        _ => 0,
    }
}
