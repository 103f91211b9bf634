use crate::malformed::Malformed;
use crate::name::Name;

/// What a header block stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Request,
    Response,
    Trailers,
}

/// The fields of a block, as far as they depend on each other.
#[derive(Debug)]
pub struct Fields {
    part: Part,
    /// A bit for each pseudo-field that was there.
    pseudo: u8,
    has_field: bool,
    is_connect: bool,
    malformed: Option<Malformed>,
}

impl Fields {
    pub fn new(part: Part) -> Self {
        Self { part, pseudo: 0, has_field: false, is_connect: false, malformed: None }
    }

    /// A field of this name that was judged before; `is_connect` where it says that the method is CONNECT.
    pub fn add(&mut self, name: Name, judged: Option<Malformed>, is_connect: bool) {
        let malformed = if name.is_pseudo() {
            let (seen, bit) = (self.pseudo, bit(name));
            self.pseudo |= bit;
            match self.part {
                Part::Trailers => Some(Malformed::PseudoFieldInTrailers),
                part if (part == Part::Response) != (name == Name::Status) => Some(Malformed::UnknownPseudoField),
                _ if self.has_field => Some(Malformed::LatePseudoField),
                _ if seen & bit != 0 => Some(Malformed::RepeatedPseudoField),
                _ => None,
            }
        } else {
            self.has_field = true;
            None
        };
        self.is_connect |= is_connect;
        self.malformed = self.malformed.or(judged).or(malformed);
    }

    /// What is wrong with the whole: what was first, or what is missing (RFC 9113 sections 8.3 and 8.5, RFC 8441 section 4).
    pub fn finish(self) -> Option<Malformed> {
        if self.malformed.is_some() || self.part == Part::Trailers {
            return self.malformed;
        }
        let has = |name| self.pseudo & bit(name) != 0;
        if self.part == Part::Response {
            return (!has(Name::Status)).then_some(Malformed::MissingPseudoField);
        }
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
        Name::Status => 32,
        _ => 0,
    }
}
