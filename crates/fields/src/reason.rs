use bytes::Bytes;

/// The reason phrase of an answer, where it is not the usual one of its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonPhrase(Bytes);

impl ReasonPhrase {
    /// None when it has bytes that a reason phrase may not have (RFC 9112 section 4).
    pub fn new(phrase: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        phrase.iter().all(allowed).then(|| Self(Bytes::copy_from_slice(phrase)))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
