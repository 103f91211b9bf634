use crate::field::Field;
use crate::malformed::Malformed;

/// What a field section stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Request,
    Response,
    Trailers,
}

/// The fields of a section, as far as they depend on each other.
#[derive(Debug)]
pub(crate) struct Section {
    part: Part,
    /// A bit for each pseudo-field that was there.
    pseudo: u8,
    has_field: bool,
    is_connect: bool,
    malformed: Option<Malformed>,
}

const METHOD: u8 = 1;
const SCHEME: u8 = 2;
const AUTHORITY: u8 = 4;
const PATH: u8 = 8;
const PROTOCOL: u8 = 16;
const STATUS: u8 = 32;

impl Section {
    pub(crate) fn new(part: Part) -> Self {
        Self { part, pseudo: 0, has_field: false, is_connect: false, malformed: None }
    }

    /// Takes note of a field. False once anything was wrong.
    pub(crate) fn add(&mut self, field: &Field) -> bool {
        let pseudo = match field {
            Field::Malformed(malformed) => return self.note(*malformed),
            Field::Header(..) => {
                self.has_field = true;
                return self.malformed.is_none();
            }
            Field::Method(method) => {
                self.is_connect |= method == http::Method::CONNECT;
                METHOD
            }
            Field::Scheme(_) => SCHEME,
            Field::Authority(_) => AUTHORITY,
            Field::Path(_) => PATH,
            Field::Protocol(_) => PROTOCOL,
            Field::Status(_) => STATUS,
        };
        let is_repeated = self.pseudo & pseudo != 0;
        self.pseudo |= pseudo;
        match self.part {
            Part::Trailers => self.note(Malformed::PseudoFieldInTrailers),
            part if (part == Part::Response) != (pseudo == STATUS) => self.note(Malformed::UnknownPseudoField),
            _ if self.has_field => self.note(Malformed::LatePseudoField),
            _ if is_repeated => self.note(Malformed::RepeatedPseudoField),
            _ => self.malformed.is_none(),
        }
    }

    fn note(&mut self, malformed: Malformed) -> bool {
        self.malformed.get_or_insert(malformed);
        false
    }

    /// What is wrong with the whole: what was first, what is missing, or has no place (RFC 9113 sections 8.3 and 8.5, RFC 8441 section 4).
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if let Some(malformed) = self.malformed {
            return Err(malformed);
        }
        if self.pseudo & PROTOCOL != 0 && !self.is_connect {
            return Err(Malformed::Protocol);
        }
        let is_connect = self.is_connect && self.pseudo & PROTOCOL == 0;
        if is_connect && self.pseudo & (SCHEME | PATH) != 0 {
            return Err(Malformed::UnknownPseudoField);
        }
        let needed = match self.part {
            Part::Trailers => 0,
            Part::Response => STATUS,
            Part::Request if is_connect => METHOD | AUTHORITY,
            Part::Request => METHOD | SCHEME | PATH,
        };
        if self.pseudo & needed == needed { Ok(()) } else { Err(Malformed::MissingPseudoField) }
    }
}
