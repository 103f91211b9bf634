//! CRC-32 as in Ethernet, gzip and nginx: polynomial 0xedb88320, reflected.

/// A table of 256 remainders.
pub(crate) struct Crc32([u32; 256]);

impl Crc32 {
    pub(crate) fn new() -> Self {
        let remainder =
            |byte: u32| (0..8).fold(byte, |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 });
        Self(std::array::from_fn(|byte| remainder(byte as u32)))
    }

    /// The state after these bytes.
    pub(crate) fn start(&self, bytes: impl IntoIterator<Item = u8>) -> u32 {
        self.update(u32::MAX, bytes)
    }

    /// The checksum when these bytes follow.
    pub(crate) fn finish(&self, state: u32, bytes: impl IntoIterator<Item = u8>) -> u32 {
        !self.update(state, bytes)
    }

    #[inline]
    fn update(&self, state: u32, bytes: impl IntoIterator<Item = u8>) -> u32 {
        bytes.into_iter().fold(state, |crc, byte| self.0[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_common_one() {
        let table = Crc32::new();
        assert_eq!(table.finish(table.start(*b"12345"), *b"6789"), 0xcbf4_3926);
        assert_eq!(table.finish(table.start([]), []), 0);
    }
}
