use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::io::read_bounded;

/// A file whose changes are noticed, however they are made: in place, or by another file that takes its place, also behind
/// a symbolic link. It is looked at so often, which needs no privileges and works on every file system.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    /// Bytes that are read at the most.
    limit: u64,
    read: Option<Stamp>,
}

/// What changes whenever a file does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Option<(u64, u64, i64, i64, i64, i64, u64)>);

impl Stamp {
    /// As a file is now, or as there is none.
    pub fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().as_ref().map(stamp))
    }
}

const EVERY: Duration = Duration::from_millis(500);
/// A change is read once there has been no other for so long, so that many become one.
const QUIET: Duration = Duration::from_millis(50);
/// But however fast they come, one is read after so many looks.
const MOST_LOOKS: usize = 20;

impl Watched {
    pub fn new(path: &Path, limit: u64) -> Self {
        Self { path: path.to_owned(), limit, read: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The contents, at first at once, then whenever they have changed.
    pub async fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut now = self.stamp().await;
        while self.read == Some(now) {
            tokio::time::sleep(EVERY).await;
            now = self.stamp().await;
        }
        if self.read.is_some() {
            for _ in 0..MOST_LOOKS {
                tokio::time::sleep(QUIET).await;
                let before = std::mem::replace(&mut now, self.stamp().await);
                if before == now {
                    break;
                }
            }
        }
        let (path, limit) = (self.path.clone(), self.limit);
        let reading = tokio::task::spawn_blocking(move || read_bounded(&path, limit));
        let contents = reading.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        // Taken before reading: what has changed meanwhile is noticed next.
        self.read = Some(now);
        contents
    }

    async fn stamp(&self) -> Stamp {
        let path = self.path.clone();
        // Beside the control plane: a file system may be slow.
        tokio::task::spawn_blocking(move || Stamp::of(&path)).await.unwrap_or_default()
    }
}

fn stamp(file: &Metadata) -> (u64, u64, i64, i64, i64, i64, u64) {
    (file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec(), file.size())
}
