use std::path::Path;

use super::watched::Watched;
use super::{Next, Source};
use crate::config;

/// Largest file of endpoints.
const FILE_BYTES: u64 = 16 << 20;

/// The endpoints that a file lists, YAML or JSON. A file that cannot be used changes nothing.
#[derive(Debug)]
pub struct FileSource {
    watched: Watched,
    /// For endpoints that do not say it themselves.
    max_connections: u32,
}

impl FileSource {
    pub fn new(path: &Path, max_connections: u32) -> Self {
        Self { watched: Watched::new(path, FILE_BYTES), max_connections }
    }
}

impl Source for FileSource {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async move {
            let bytes = self.watched.next().await;
            let path = self.watched.path().display().to_string();
            let bytes = bytes.map_err(|error| format!("reading {path} failed: {error}"))?;
            let text = String::from_utf8(bytes).map_err(|_| format!("{path}: not UTF-8"))?;
            config::parse_endpoints(&text, &path, self.max_connections).map_err(|errors| errors.to_string())
        })
    }
}
