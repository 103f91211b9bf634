//! Types, lengths and values (section 2.2).

pub(crate) const ALPN: u8 = 0x01;
pub(crate) const AUTHORITY: u8 = 0x02;
pub(crate) const CRC32C: u8 = 0x03;
pub(crate) const UNIQUE_ID: u8 = 0x05;
pub(crate) const SSL: u8 = 0x20;
pub(crate) const SSL_VERSION: u8 = 0x21;
pub(crate) const SSL_COMMON_NAME: u8 = 0x22;
pub(crate) const SSL_CIPHER: u8 = 0x23;

/// Bits of the first byte of `SSL`.
pub(crate) const CLIENT_SSL: u8 = 0x01;
pub(crate) const CLIENT_CERTIFICATE: u8 = 0x02;

pub(crate) const MOST_UNIQUE_ID: usize = 128;
/// A longer one is no name of a host.
pub(crate) const MOST_AUTHORITY: usize = 255;

/// What a list of them has.
pub(crate) struct List<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for List<'a> {
    /// Type and value; an error when the list is cut off.
    type Item = Result<(u8, &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let cut = self.0.split_first_chunk().and_then(|([kind, high, low], rest)| {
            let length = u16::from_be_bytes([*high, *low]).into();
            Some((*kind, rest.get(..length)?, rest.get(length..)?))
        });
        let Some((kind, value, rest)) = cut else {
            self.0 = &[];
            return Some(Err("a TLV is longer than what is left"));
        };
        self.0 = rest;
        Some(Ok((kind, value)))
    }
}

/// Appends one. What is longer than its length can say is left out.
pub(crate) fn push(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len()) else { return };
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}
