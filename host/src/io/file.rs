use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The contents of a file of up to so many bytes. What says of itself that it has none, such as a device or a pipe, may have
/// any number.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}
