use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use super::errors::ConfigErrors;

/// Largest configuration file.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// The text of a file, if it is not too large.
pub(crate) fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let name = path.display().to_string();
    read_at_most(path, MAX_BYTES).map_err(|error| ConfigErrors::whole(&name, format!("reading failed: {error}")))
}

/// The text of a file of up to so many bytes. What says of itself that it has none, such as a device or a pipe, may have
/// any number.
pub(super) fn read_at_most(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(text)
}
