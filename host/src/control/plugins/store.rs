//! Uploaded plugins on disk: components by their digests, and a manifest that says whose they are. What is there after a
//! crash at any moment is whole: components are written before the manifest that names them, each in one step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::control::file::{self, read_bounded};
use crate::plugin::{Limits, Plugin};

const MANIFEST: &str = "manifest.json";
/// Version of the manifest's shape.
const FORMAT: u32 = 1;
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The directory that uploads are kept in.
#[derive(Debug)]
pub(in crate::control) struct Store {
    directory: PathBuf,
    /// The operator asked for it: what cannot be kept is not taken.
    pub(super) is_asked_for: bool,
    manifest: Manifest,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    plugins: BTreeMap<String, Kept>,
    /// Judgements that need not be made again.
    #[serde(default)]
    judged: Vec<String>,
}

/// What is kept under one plugin name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Digest of the version that is live; none when that is the built-in one, or the file of the configuration.
    pub(super) live: Option<String>,
    /// Digest of the file in whose place it is: a file that differs from it is newer.
    pub(super) over_file: Option<String>,
    /// Oldest first.
    pub(super) versions: Vec<KeptVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptVersion {
    pub(super) digest: String,
    pub(super) version: String,
    pub(super) size_bytes: usize,
    pub(super) loaded_unix_seconds: u64,
    /// Who sent it, as far as that is known.
    pub(super) by: String,
    pub(super) grants: Vec<String>,
    pub(super) memory_bytes: usize,
    /// What it was held against: `off` when the operator wanted it whatever it does.
    pub(super) conformance: String,
}

/// Why a store cannot be used, or a component not be had from it.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the plugin store {path}: {error}")]
    Io { path: String, error: io::Error },
    #[error("the plugin store's {path} is damaged: {why}")]
    Damaged { path: String, why: String },
}

impl Store {
    /// A store that is there, or a new one, which is made with the first upload.
    pub(super) fn open(directory: &Path, is_asked_for: bool) -> Result<Self, StoreError> {
        let path = directory.join(MANIFEST);
        let manifest = match read_bounded(&path, MAX_MANIFEST_BYTES) {
            Ok(text) => serde_json::from_slice::<Manifest>(&text)
                .map_err(|error| error.to_string())
                .and_then(|manifest| manifest.checked())
                .map_err(|why| StoreError::Damaged { path: path.display().to_string(), why })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest { format: FORMAT, ..Manifest::default() },
            Err(error) => return Err(StoreError::Io { path: path.display().to_string(), error }),
        };
        Ok(Self { directory: directory.to_owned(), is_asked_for, manifest })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn plugins(&self) -> &BTreeMap<String, Kept> {
        &self.manifest.plugins
    }

    pub(super) fn judged(&self) -> &[String] {
        &self.manifest.judged
    }

    /// Whether this version would be live after a restart.
    pub(super) fn keeps_live(&self, name: &str, digest: &str) -> bool {
        self.manifest.plugins.get(name).is_some_and(|kept| kept.live.as_deref() == Some(digest))
    }

    /// A component, if its bytes are what they were.
    pub(super) fn read(directory: &Path, digest: &str) -> Result<Vec<u8>, StoreError> {
        let path = directory.join(format!("{digest}.wasm"));
        let shown = path.display().to_string();
        let bytes = read_bounded(&path, Limits::default().component_bytes as u64)
            .map_err(|error| StoreError::Io { path: shown.clone(), error })?;
        if Plugin::digest_of(&bytes) != digest {
            return Err(StoreError::Damaged { path: shown, why: "its bytes are not those of its digest".into() });
        }
        Ok(bytes)
    }

    /// Writes a component, unless it is there already.
    pub(super) fn write(directory: &Path, digest: &str, bytes: &[u8]) -> Result<(), StoreError> {
        if Self::read(directory, digest).is_ok() {
            return Ok(());
        }
        let path = directory.join(format!("{digest}.wasm"));
        let written = fs::create_dir_all(directory).and_then(|()| file::replace(&path, bytes));
        written.map_err(|error| StoreError::Io { path: path.display().to_string(), error })
    }

    /// Says what is kept under a name from now on; components that nothing names any more are removed. Nothing has changed
    /// when it fails.
    pub(super) fn keep(&mut self, name: &str, kept: Option<Kept>, judged: Vec<String>) -> Result<(), StoreError> {
        let mut manifest = self.manifest.clone();
        match kept {
            Some(kept) if !kept.versions.is_empty() => manifest.plugins.insert(name.to_owned(), kept),
            _ => manifest.plugins.remove(name),
        };
        let digests = manifest.digests();
        manifest.judged = judged.into_iter().filter(|key| digests.iter().any(|digest| key.contains(*digest))).collect();
        let path = self.directory.join(MANIFEST);
        let io = |error| StoreError::Io { path: path.display().to_string(), error };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| io(error.into()))?;
        fs::create_dir_all(&self.directory).map_err(io)?;
        file::replace(&path, &text).map_err(io)?;
        let gone: Vec<String> = {
            let before = self.manifest.digests();
            let digests = manifest.digests();
            before.difference(&digests).map(|digest| (*digest).to_owned()).collect()
        };
        for digest in gone {
            // What is left over does no harm.
            let _ = fs::remove_file(self.directory.join(format!("{digest}.wasm")));
        }
        self.manifest = manifest;
        Ok(())
    }
}

impl Manifest {
    fn digests(&self) -> BTreeSet<&str> {
        self.plugins.values().flat_map(|kept| &kept.versions).map(|version| version.digest.as_str()).collect()
    }

    /// Names and digests become file names and labels.
    fn checked(self) -> Result<Self, String> {
        if self.format != FORMAT {
            return Err(format!("its format is {}, and {FORMAT} is the one that is known", self.format));
        }
        if let Some(name) = self.plugins.keys().find(|name| !Plugin::is_name(name)) {
            return Err(format!("{name:?} is no name of a plugin"));
        }
        let is_digest = |digest: &&str| {
            digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if let Some(digest) = self.digests().into_iter().find(|digest| !is_digest(digest)) {
            return Err(format!("{digest:?} is no digest"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(bytes: &[u8]) -> KeptVersion {
        KeptVersion {
            digest: Plugin::digest_of(bytes),
            version: "1.0.0".into(),
            size_bytes: bytes.len(),
            loaded_unix_seconds: 7,
            by: "somebody".into(),
            grants: vec!["log".into()],
            memory_bytes: 1 << 20,
            conformance: "quick".into(),
        }
    }

    fn directory(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("plimsoll-store-{name}-{}", std::process::id()))
    }

    #[test]
    fn what_was_kept_is_there_again_and_what_nobody_names_is_not() {
        let directory = directory("kept");
        let mut store = Store::open(&directory, false).expect("a new one");
        assert!(!directory.exists(), "nothing is written before there is something to keep");
        let (a, b) = (version(b"a"), version(b"b"));
        for (version, bytes) in [(&a, b"a"), (&b, b"b")] {
            Store::write(&directory, &version.digest, bytes).expect("written");
        }
        let judged = vec![format!("1 quick {} x", a.digest), "1 quick of-another x".to_owned()];
        let kept = Kept { live: Some(b.digest.clone()), over_file: None, versions: vec![a.clone(), b.clone()] };
        store.keep("mine", Some(kept), judged.clone()).expect("kept");
        let store = Store::open(&directory, false).expect("the same");
        assert!(store.keeps_live("mine", &b.digest) && !store.keeps_live("mine", &a.digest));
        assert_eq!(store.plugins()["mine"].versions, [a.clone(), b.clone()]);
        assert_eq!(store.judged(), &judged[..1]);
        let mut store = store;
        let kept = Kept { live: Some(b.digest.clone()), over_file: None, versions: vec![b.clone()] };
        store.keep("mine", Some(kept), Vec::new()).expect("kept");
        assert!(Store::read(&directory, &a.digest).is_err());
        assert_eq!(Store::read(&directory, &b.digest).expect("still there"), b"b");
        store.keep("mine", None, Vec::new()).expect("kept");
        assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 1, "only the manifest");
        fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn what_is_damaged_is_told() {
        let directory = directory("damaged");
        let version = version(b"a");
        Store::write(&directory, &version.digest, b"a").expect("written");
        fs::write(directory.join(format!("{}.wasm", version.digest)), b"b").expect("damaged");
        assert!(matches!(Store::read(&directory, &version.digest), Err(StoreError::Damaged { .. })));
        // Writing it again mends it.
        Store::write(&directory, &version.digest, b"a").expect("written");
        assert_eq!(Store::read(&directory, &version.digest).expect("whole"), b"a");
        for manifest in [
            "",
            "{",
            r#"{"format":2,"plugins":{}}"#,
            r#"{"format":1,"plugins":{"../x":{"live":null,"over_file":null,"versions":[]}}}"#,
            r#"{"format":1,"plugins":{},"more":1}"#,
        ] {
            fs::write(directory.join(MANIFEST), manifest).expect("a manifest");
            assert!(matches!(Store::open(&directory, false), Err(StoreError::Damaged { .. })), "{manifest}");
        }
        fs::remove_dir_all(&directory).expect("cleaned up");
    }
}
