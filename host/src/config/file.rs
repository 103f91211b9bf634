use std::io;
use std::path::Path;

use super::errors::ConfigErrors;
use crate::io::read_bounded;

/// Largest configuration file.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// The text of a file, if it is not too large.
pub(crate) fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let name = path.display().to_string();
    read_at_most(path, MAX_BYTES).map_err(|error| ConfigErrors::whole(&name, format!("reading failed: {error}")))
}

/// The text of a file of up to so many bytes.
pub(super) fn read_at_most(path: &Path, limit: u64) -> io::Result<String> {
    let text = String::from_utf8(read_bounded(path, limit)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}
