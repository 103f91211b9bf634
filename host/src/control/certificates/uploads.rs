use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::control::beside::Panicked;
use crate::io::read_bounded;
use crate::tls::Certificate;

/// Certificates that were uploaded, and where they are kept: each in a file `NAME.pem` with its chain and its key, which only
/// its owner may read.
#[derive(Debug, Default)]
pub(in crate::control) struct Uploads {
    /// None: nothing is kept.
    directory: Option<PathBuf>,
    pub(super) by_name: BTreeMap<String, Arc<Certificate>>,
}

/// Certificates that may be there at a time.
pub(super) const MOST: usize = 1024;
const NAME_BYTES: usize = 128;
const ENDING: &str = "pem";
/// Largest chain with its key.
const UPLOAD_BYTES: u64 = 320 << 10;

/// Why a certificate was neither taken nor removed.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error(
        "a name has up to {NAME_BYTES} of the characters a-z, 0-9, `-`, `_` and `.`, and begins with none of the last three"
    )]
    BadName,
    #[error("{0}; a chain and its key are expected, in PEM")]
    Unusable(String),
    #[error("there are {MOST} certificates already; remove one first")]
    TooMany,
    #[error("no certificate was uploaded as `{0}`; `GET /v1/certificates` tells all there are")]
    Unknown(String),
    #[error("no certificate is ordered as `{0}`; `GET /v1/certificates` tells all there are")]
    NotOrdered(String),
    #[error("keeping it in {path} failed, so nothing has changed: {error}")]
    Save { path: String, error: io::Error },
    #[error("{0}")]
    Panicked(#[from] Panicked),
}

impl Uploads {
    /// By their names.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.by_name.values()
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(format!("{name}.{ENDING}")))
    }

    /// What a directory keeps. What cannot be used is told, and left alone.
    pub(super) fn open(directory: &Path) -> Self {
        let mut by_name = BTreeMap::new();
        // There is no directory before the first upload.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if path.extension().is_none_or(|ending| ending != ENDING) || !is_name(name) || by_name.len() == MOST {
                continue;
            }
            let read = read_bounded(&path, UPLOAD_BYTES).map_err(|error| error.to_string());
            match read.and_then(|text| Certificate::from_pem(&text, &text, None)) {
                Ok(certificate) => {
                    by_name.insert(name.to_owned(), Arc::new(certificate));
                }
                Err(error) => {
                    tracing::error!("the uploaded certificate in {} cannot be used: {error}", path.display());
                }
            }
        }
        Self { directory: Some(directory.to_owned()), by_name }
    }
}

/// It becomes the name of a file.
pub(super) fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_allowed = |byte: u8| is_plain(byte) || b"-_.".contains(&byte);
    name.len() <= NAME_BYTES && name.bytes().next().is_some_and(is_plain) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_files_and_lead_nowhere_else() {
        for name in ["a", "a.test", "wild_card.b-c", "0"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".a", "-a", "a/b", "a\\b", "A", "ä", "a\0", &"a".repeat(129)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
