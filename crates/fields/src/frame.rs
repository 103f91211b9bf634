use bytes::Bytes;

use crate::fields::Fields;

/// A piece of a body as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Data(Bytes),
    /// Behind all data.
    Trailers(Fields),
}
