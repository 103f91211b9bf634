use http::uri::{self, Uri};
use http::{Method, StatusCode, Version};

use crate::field::Field;
use crate::fields::Fields;
use crate::head::{RequestHead, ResponseHead};
use crate::malformed::Malformed;
use crate::section::{Part, Section};

/// Why a section gives no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// It cannot be decoded, and what follows cannot either: the connection ends (RFC 7541 section 3, RFC 9204 section 2.2).
    Undecodable,
    /// The request ends (RFC 9113 section 8.1.1, RFC 9114 section 4.1.2).
    Malformed(Malformed),
    /// Its fields are larger than they may be, all together.
    TooLarge,
}

/// Makes a head, or trailers, of fields as they come.
#[derive(Debug)]
pub struct HeadReader {
    section: Section,
    method: Option<Method>,
    uri: uri::Parts,
    protocol: Option<Box<str>>,
    status: Option<StatusCode>,
    headers: Fields,
    /// What the fields that come may still have, in bytes.
    left: usize,
    is_too_large: bool,
}

/// What a field has beside its name and its value (RFC 9113 section 6.5.2, RFC 9114 section 4.2.2).
const OVERHEAD: usize = 32;
/// Whoever looks for a field looks at each of them.
const MOST_FIELDS: usize = 4096;
/// Room for the fields of most requests, and for those that are added on the way.
const FIELDS: usize = 12;

impl HeadReader {
    /// The fields may have so many bytes, counted with 32 for each.
    pub fn new(part: Part, most_bytes: usize) -> Self {
        Self {
            section: Section::new(part),
            method: None,
            uri: uri::Parts::default(),
            protocol: None,
            status: None,
            headers: Fields::new(),
            left: most_bytes,
            is_too_large: false,
        }
    }

    /// Counts a field whose name and value have so many bytes. False once they are too many: it is not to be added.
    pub fn has_room_for(&mut self, length: usize) -> bool {
        self.is_too_large |= self.left < length + OVERHEAD;
        self.left = self.left.saturating_sub(length + OVERHEAD);
        !self.is_too_large
    }

    /// Adds a field that there was room for.
    pub fn add(&mut self, field: Field) {
        if !self.section.add(&field) {
            return;
        }
        match field {
            Field::Method(method) => self.method = Some(method),
            Field::Scheme(scheme) => self.uri.scheme = Some(scheme),
            Field::Authority(authority) => self.uri.authority = Some(authority),
            Field::Path(path) => self.uri.path_and_query = Some(path),
            Field::Protocol(protocol) => self.protocol = Some(protocol),
            Field::Status(status) => self.status = Some(status),
            Field::Header(name, value) => {
                if self.headers.is_empty() {
                    self.headers.reserve(FIELDS);
                }
                self.is_too_large |= self.headers.len() == MOST_FIELDS;
                self.headers.append(name, value);
            }
            Field::Malformed(_) => {}
        }
    }

    /// The fields were those of a request's head.
    pub fn into_request(mut self, version: Version) -> Result<RequestHead, HeadError> {
        self.judge()?;
        let missing = HeadError::Malformed(Malformed::MissingPseudoField);
        let method = self.method.ok_or(missing)?;
        if self.uri.authority.is_none() || (method == Method::CONNECT && self.protocol.is_none()) {
            // A URI has a scheme and an authority, or none of both.
            self.uri.scheme = None;
        }
        let uri = Uri::from_parts(self.uri).map_err(|_| HeadError::Malformed(Malformed::Path))?;
        Ok(RequestHead { method, uri, version, headers: self.headers, protocol: self.protocol })
    }

    /// The fields were those of an answer's head, or of one in advance.
    pub fn into_response(self, version: Version) -> Result<ResponseHead, HeadError> {
        self.judge()?;
        let status = self.status.ok_or(HeadError::Malformed(Malformed::MissingPseudoField))?;
        Ok(ResponseHead { status, version, headers: self.headers, reason: None })
    }

    /// The fields were trailers.
    pub fn into_trailers(self) -> Result<Fields, HeadError> {
        self.judge()?;
        Ok(self.headers)
    }

    fn judge(&self) -> Result<(), HeadError> {
        if self.is_too_large {
            return Err(HeadError::TooLarge);
        }
        self.section.finish().map_err(HeadError::Malformed)
    }
}
