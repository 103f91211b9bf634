use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal.
pub fn digest_of(bytes: &[u8]) -> String {
    format!("{:x}", HexDigest(&Sha256::digest(bytes)))
}

struct HexDigest<'a>(&'a [u8]);

impl fmt::LowerHex for HexDigest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
