//! Uploaded plugins on disk: components by their digests, and a manifest that says whose they are. What is there after a
//! crash at any moment is whole: components are written before the manifest that names them, each in one step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::signature::{Component, signature_path};
use crate::io::{put_aside, read_bounded, replace_file};
use crate::plugin::{Limits, Plugin, digest_of};

const MANIFEST: &str = "manifest.json";
/// The same once more, for when the first is damaged.
const COPY: &str = "manifest.copy.json";
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
    condition: Condition,
}

/// What was found of the manifest.
#[derive(Debug)]
enum Condition {
    Whole,
    /// The copy stands in for it.
    Copied(StoreError),
    /// What it said is not known.
    Lost(StoreError),
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
pub(in crate::control) struct KeptVersion {
    pub(super) digest: String,
    pub(super) version: String,
    pub(in crate::control) size_bytes: usize,
    pub(in crate::control) loaded_unix_seconds: u64,
    /// Who sent it, as far as that is known.
    pub(in crate::control) by: String,
    pub(in crate::control) grants: Vec<String>,
    pub(super) memory_bytes: usize,
    /// What it was held against: `off` when the operator wanted it whatever it does.
    pub(in crate::control) conformance: String,
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
    /// When its manifest is damaged, it has what the copy says, or nothing. Nothing is written.
    pub(super) fn open(directory: &Path, is_asked_for: bool) -> Result<Self, StoreError> {
        let (manifest, condition) = match Manifest::read(&directory.join(MANIFEST)) {
            Ok(manifest) => (manifest, Condition::Whole),
            Err(error @ StoreError::Io { .. }) => return Err(error),
            Err(error) => match Manifest::read(&directory.join(COPY)) {
                Ok(copy) if !copy.plugins.is_empty() => (copy, Condition::Copied(error)),
                _ => (Manifest::empty(), Condition::Lost(error)),
            },
        };
        Ok(Self { directory: directory.to_owned(), is_asked_for, manifest, condition })
    }

    /// What was wrong with it, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.condition {
            Condition::Whole => None,
            Condition::Copied(error) => Some(format!("{error}; its copy, {COPY}, stands in for it")),
            Condition::Lost(error) => {
                Some(format!("{error}, and so is its copy: plugins that were uploaded are missing, upload them again"))
            }
        }
    }

    /// Puts a damaged manifest aside and writes it anew, and removes components that no manifest names: those of uploads that
    /// a crash has cut off. Only for the process that serves. Answers what it did, for people.
    pub(super) fn tidy(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        if !matches!(self.condition, Condition::Whole) {
            done.push(format!("the damaged manifest: {}", put_aside(&self.directory.join(MANIFEST))));
        }
        if matches!(self.condition, Condition::Copied(_)) {
            done.extend(self.write_manifest(&self.manifest).err().map(|error| error.to_string()));
        }
        // Whose components they are is to be found out while nobody knows what the manifest said.
        if !matches!(self.condition, Condition::Lost(_)) {
            for orphan in self.orphans() {
                if fs::remove_file(&orphan).is_ok() {
                    done.push(format!("{} belonged to no plugin, and is removed", orphan.display()));
                }
            }
        }
        done
    }

    fn orphans(&self) -> Vec<PathBuf> {
        let named = self.manifest.digests();
        let is_orphan = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let digest = name.strip_suffix(".minisig").unwrap_or(name).strip_suffix(".wasm");
            digest.is_some_and(|digest| is_digest(digest) && !named.contains(digest))
        };
        // There is no directory before the first upload.
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_orphan).collect()
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

    /// A component, if its bytes are what they were, with its signature.
    pub(super) fn read(directory: &Path, digest: &str) -> Result<Component, StoreError> {
        let path = component_path(directory, digest);
        let shown = path.display().to_string();
        let bytes = read_bounded(&path, Limits::default().component_bytes as u64)
            .map_err(|error| StoreError::Io { path: shown.clone(), error })?;
        if digest_of(&bytes) != digest {
            return Err(StoreError::Damaged { path: shown, why: "its bytes are not those of its digest".into() });
        }
        Component::beside(&path, bytes).map_err(|error| StoreError::Io { path: shown, error })
    }

    /// Writes a component, and says what is kept under a name from now on. Nothing has changed when it fails.
    pub(super) fn add(
        &mut self,
        component: (&str, &Component),
        name: &str,
        kept: Kept,
        judged: Vec<String>,
    ) -> Result<(), StoreError> {
        let (digest, component) = component;
        let is_new = Self::write(&self.directory, digest, component)?;
        let done = self.keep(name, Some(kept), judged);
        if done.is_err() && is_new {
            // Should that fail, too, the next start removes it.
            self.remove(digest);
        }
        done
    }

    /// Writes a component and its signature. False when the component is there already; the signature may be another one then.
    fn write(directory: &Path, digest: &str, component: &Component) -> Result<bool, StoreError> {
        let is_new = Self::read(directory, digest).is_err();
        let path = component_path(directory, digest);
        let io = |error| StoreError::Io { path: path.display().to_string(), error };
        fs::create_dir_all(directory).map_err(io)?;
        if let Some(signature) = &component.signature {
            replace_file(&signature_path(&path), signature.as_bytes()).map_err(io)?;
        }
        if is_new {
            replace_file(&path, &component.bytes).map_err(io)?;
        }
        Ok(is_new)
    }

    fn remove(&self, digest: &str) {
        let path = component_path(&self.directory, digest);
        // What is left over does no harm.
        let _ = (fs::remove_file(signature_path(&path)), fs::remove_file(path));
    }

    /// The copy is written last, so that there is always one that is whole.
    fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.directory.join(MANIFEST);
        let io = |error| StoreError::Io { path: path.display().to_string(), error };
        let text = serde_json::to_vec_pretty(manifest).map_err(|error| io(error.into()))?;
        fs::create_dir_all(&self.directory).map_err(io)?;
        replace_file(&path, &text).map_err(io)?;
        if let Err(error) = replace_file(&self.directory.join(COPY), &text) {
            tracing::warn!("the plugin store's {COPY} could not be written: {error}");
        }
        Ok(())
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
        self.write_manifest(&manifest)?;
        let gone: Vec<String> = {
            let before = self.manifest.digests();
            let digests = manifest.digests();
            before.difference(&digests).map(|digest| (*digest).to_owned()).collect()
        };
        for digest in gone {
            self.remove(&digest);
        }
        self.manifest = manifest;
        Ok(())
    }
}

impl Manifest {
    fn empty() -> Self {
        Self { format: FORMAT, ..Self::default() }
    }

    fn read(path: &Path) -> Result<Self, StoreError> {
        let text = match read_bounded(path, MAX_MANIFEST_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::empty()),
            text => text.map_err(|error| StoreError::Io { path: path.display().to_string(), error })?,
        };
        let manifest: Result<Self, String> = serde_json::from_slice(&text).map_err(|error| error.to_string());
        let checked = manifest.and_then(Self::checked);
        checked.map_err(|why| StoreError::Damaged { path: path.display().to_string(), why })
    }

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
        if let Some(digest) = self.digests().into_iter().find(|digest| !is_digest(digest)) {
            return Err(format!("{digest:?} is no digest"));
        }
        Ok(self)
    }
}

fn component_path(directory: &Path, digest: &str) -> PathBuf {
    directory.join(format!("{digest}.wasm"))
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(bytes: &[u8]) -> KeptVersion {
        KeptVersion {
            digest: digest_of(bytes),
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

    fn signed(bytes: &[u8]) -> Component {
        Component { signature: Some("by somebody".into()), ..Component::unsigned(bytes) }
    }

    #[test]
    fn what_was_kept_is_there_again_and_what_nobody_names_is_not() {
        let directory = directory("kept");
        let mut store = Store::open(&directory, false).expect("a new one");
        assert!(!directory.exists(), "nothing is written before there is something to keep");
        let (a, b) = (version(b"a"), version(b"b"));
        for (version, bytes) in [(&a, b"a"), (&b, b"b")] {
            Store::write(&directory, &version.digest, &Component::unsigned(*bytes)).expect("written");
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
        assert_eq!(*Store::read(&directory, &b.digest).expect("still there").bytes, *b"b");
        store.keep("mine", None, Vec::new()).expect("kept");
        assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 2, "only the manifest and its copy");
        fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn what_is_damaged_is_told() {
        let directory = directory("damaged");
        let version = version(b"a");
        Store::write(&directory, &version.digest, &Component::unsigned(*b"a")).expect("written");
        fs::write(directory.join(format!("{}.wasm", version.digest)), b"b").expect("damaged");
        assert!(matches!(Store::read(&directory, &version.digest), Err(StoreError::Damaged { .. })));
        // Writing it again mends it.
        Store::write(&directory, &version.digest, &Component::unsigned(*b"a")).expect("written");
        assert_eq!(*Store::read(&directory, &version.digest).expect("whole").bytes, *b"a");
        for manifest in [
            "",
            "{",
            r#"{"format":2,"plugins":{}}"#,
            r#"{"format":1,"plugins":{"../x":{"live":null,"over_file":null,"versions":[]}}}"#,
            r#"{"format":1,"plugins":{},"more":1}"#,
        ] {
            fs::write(directory.join(MANIFEST), manifest).expect("a manifest");
            let mut store = Store::open(&directory, false).expect("a store all the same");
            assert!(store.trouble().is_some_and(|trouble| trouble.contains("so is its copy")), "{manifest}");
            store.tidy();
            assert_eq!(fs::read_to_string(directory.join("manifest.json.damaged")).expect("aside"), manifest);
            assert!(Store::read(&directory, &version.digest).is_ok(), "whose it is may be found out");
        }
        fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn the_copy_stands_in_for_a_damaged_manifest_and_orphans_go() {
        let directory = directory("copy");
        let (a, orphan) = (version(b"a"), version(b"orphan"));
        let mut store = Store::open(&directory, false).expect("a new one");
        let kept = Kept { live: Some(a.digest.clone()), over_file: None, versions: vec![a.clone()] };
        store.add((&a.digest, &signed(b"a")), "mine", kept, Vec::new()).expect("kept");
        Store::write(&directory, &orphan.digest, &signed(b"orphan")).expect("written");
        fs::write(directory.join("notes.wasm"), "not ours").expect("written");
        fs::write(directory.join(MANIFEST), "{").expect("damaged");
        let mut store = Store::open(&directory, false).expect("a store all the same");
        assert!(store.keeps_live("mine", &a.digest) && store.trouble().is_some());
        assert_eq!(store.tidy().len(), 3);
        assert_eq!(Store::read(&directory, &a.digest).expect("kept").signature.as_deref(), Some("by somebody"));
        let store = Store::open(&directory, false).expect("the same");
        assert!(store.keeps_live("mine", &a.digest) && store.trouble().is_none());
        assert!(Store::read(&directory, &orphan.digest).is_err() && directory.join("notes.wasm").exists());
        fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn what_cannot_be_kept_leaves_no_component() {
        let directory = directory("refused");
        let mut store = Store::open(&directory, true).expect("a new one");
        // Nothing can take its place.
        fs::create_dir_all(directory.join(MANIFEST)).expect("a directory");
        let a = version(b"a");
        let kept = Kept { live: Some(a.digest.clone()), over_file: None, versions: vec![a.clone()] };
        assert!(store.add((&a.digest, &signed(b"a")), "mine", kept, Vec::new()).is_err());
        assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 1);
        assert!(!store.keeps_live("mine", &a.digest));
        fs::remove_dir_all(&directory).expect("cleaned up");
    }
}
