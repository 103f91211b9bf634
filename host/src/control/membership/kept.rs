use std::io;
use std::path::{Path, PathBuf};

use super::amendments::Amendments;
use crate::control::beside::{Panicked, beside};
use crate::io::{put_aside, read_bounded, replace_file};

/// Largest file of amendments.
const FILE_BYTES: u64 = 16 << 20;

/// What is kept of amendments, and where.
#[derive(Debug, Default)]
pub(in crate::control) struct KeptAmendments {
    /// None: nothing is kept.
    path: Option<PathBuf>,
    amendments: Amendments,
}

impl KeptAmendments {
    /// What a file keeps. One that is damaged is told and put aside; one that cannot be read is told, and not written either.
    pub(super) fn open(path: &Path) -> Self {
        let shown = path.display();
        let amendments = match read_bounded(path, FILE_BYTES) {
            Ok(text) => Amendments::from_json(&text).unwrap_or_else(|error| {
                let aside = put_aside(path);
                tracing::error!("{shown} is damaged, endpoints that were kept there are missing; {aside}: {error}");
                Amendments::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Amendments::default(),
            Err(error) => {
                tracing::error!("reading {shown} failed, endpoints that were kept there are missing: {error}");
                return Self::default();
            }
        };
        Self { path: Some(path.to_owned()), amendments }
    }

    pub(super) fn amendments(&self) -> &Amendments {
        &self.amendments
    }

    /// Writes other amendments into the file. Nothing has changed when it fails.
    pub(super) async fn replace(&mut self, amendments: Amendments) -> Result<(), AmendError> {
        let path = self.path.clone().ok_or(AmendError::NotKept)?;
        let text = format!("{:#}\n", amendments.to_json());
        let shown = path.display().to_string();
        let written = beside("writing the amendments", move || write(&path, &text)).await?;
        written.map_err(|error| AmendError::Save { path: shown, error })?;
        self.amendments = amendments;
        Ok(())
    }
}

/// Why an endpoint was neither added nor removed.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    #[error("no cluster of the name `{0}`; clusters are made by the configuration (`PUT /v1/config`)")]
    UnknownCluster(String),
    #[error("cluster `{cluster}` has no endpoint `{id}`; `GET /v1/clusters/{cluster}` tells those that it has")]
    UnknownEndpoint { cluster: String, id: String },
    #[error(
        "cluster `{cluster}` has an endpoint `{id}` already, from {origin}: change it by `PATCH`, remove it first, or give \
         the other one an `id` of its own"
    )]
    Exists { cluster: String, id: String, origin: String },
    #[error("`{id}` is one address of endpoint `{whole}`: remove that, or take this one out of service by `PATCH`")]
    OneAddress { id: String, whole: String },
    #[error(
        "`{id}` comes from {origin}, which would bring it back: remove it there, or take it out of service by `PATCH` with \
         {{\"enabled\":false}}"
    )]
    Discovered { id: String, origin: String },
    #[error(
        "there is no file to keep it in, or it could not be read when the proxy started: start it with a configuration file, or \
         say with `endpoints_file` where; without `persist=true` it holds until the next start"
    )]
    NotKept,
    #[error("keeping it in {path} failed, so nothing has changed: {error}")]
    Save { path: String, error: io::Error },
    #[error("{0}")]
    Panicked(#[from] Panicked),
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if text.len() as u64 > FILE_BYTES {
        // It could not be read again.
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it would have more than {FILE_BYTES} bytes")));
    }
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    replace_file(path, text.as_bytes())
}
